"""The pretended card refuses what a card refuses."""

import numpy as np
import pytest
import torch

from pretend_card import CARD, OnCard, pretended_card


def test_tensors_lie_where_they_are_put() -> None:
    with pretended_card():
        here = torch.arange(3.0)
        made = [
            here.to("cuda"), here.to(CARD), here.cuda(), torch.ones(2, device="cuda:0"),
            torch.tensor([1], device=CARD), here.cuda()[1:], here.cuda().double() + 1,
            torch.zeros_like(here.cuda()), here.cuda().new_ones(2), here.to(here.cuda().double()),
        ]  # fmt: skip
        back = [made[0].cpu(), made[0].to("cpu"), made[0].new_zeros(1, device="cpu")]
    assert {(type(one), one.device) for one in made} == {(OnCard, CARD)}
    assert {(type(one), one.device) for one in back} == {(torch.Tensor, torch.device("cpu"))}
    assert made[-1].dtype == torch.float64
    assert torch.equal(back[0], here)


def test_devices_are_not_mixed() -> None:
    with pretended_card():
        there, here = torch.ones(3, device="cuda"), torch.ones(3)
        for mixed in (lambda: there + here, lambda: torch.cat([here, there]), lambda: there @ here):
            with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
                mixed()
        assert (there * torch.tensor(2.0)).tolist() == [2, 2, 2]  # a number is of any device
        assert here.copy_(there * 3).tolist() == there.copy_(here).tolist() == [3, 3, 3]


def test_a_card_tensor_is_no_array() -> None:
    with pretended_card():
        there = torch.ones(3, device="cuda")
        for read in (lambda: there.numpy(), lambda: np.asarray(there)):
            with pytest.raises(TypeError, match="can't convert cuda:0 device type tensor to numpy"):
                read()
    assert there.cpu().numpy().tolist() == [1, 1, 1]


def test_gradients_and_changes_in_place() -> None:
    here = torch.nn.Linear(3, 2)
    with pretended_card():
        there = torch.nn.Linear(3, 2).to("cuda")
        there.load_state_dict(here.state_dict())
        x = torch.ones(4, 3, device="cuda")
        torch.autograd.backward(there(x).square().sum())
        same = x.mul_(2)
    torch.autograd.backward(here(torch.ones(4, 3)).square().sum())
    found, want = there.weight.grad, here.weight.grad
    assert found is not None
    assert want is not None
    assert found.device == CARD
    assert torch.equal(found.cpu(), want)
    assert same is x
    assert x.cpu().tolist() == [[2, 2, 2]] * 4
