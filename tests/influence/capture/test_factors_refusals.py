"""What capture refuses, and that it leaves the model as it was whatever happens."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

from genmem.influence import capture_factors
from influence.traps import Bare, randn, seeded, squares


def state_of(model: nn.Module) -> tuple[object, ...]:
    modules = list(model.modules())
    return (
        [m.training for m in modules],
        [p.requires_grad for p in model.parameters()],
        [p.grad for p in model.parameters()],
        [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in modules],
        [t.clone() for t in model.state_dict().values()],
    )


def assert_same_state(before: tuple[object, ...], model: nn.Module) -> None:
    after = state_of(model)
    assert before[:2] == after[:2]
    assert before[3] == after[3]
    for old, new in zip(before[2], after[2], strict=True):
        assert old is new
    for old, new in zip(before[4], after[4], strict=True):
        assert torch.equal(old, new)


def small() -> nn.Module:
    model = seeded(
        lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.PReLU(), nn.Linear(3, 2))
    )
    model[0].weight.grad = torch.ones(3, 4, dtype=torch.float64)
    model[3].bias.requires_grad_(False)
    model[2].train()
    return model


def test_the_state_of_the_model_is_left_alone() -> None:
    model = small()
    before = state_of(model)
    capture_factors(model, squares, randn(5, 4))
    assert_same_state(before, model)


@pytest.mark.parametrize("call", [1, 2, 3, 4, 5, 6])
def test_the_state_is_put_back_after_an_exception(call: int) -> None:
    model = small()
    before = state_of(model)
    calls = 0

    def failing(model: nn.Module, x: Tensor, noise: None) -> Tensor:
        nonlocal calls
        calls += 1
        if calls >= call:
            model[3].train()
            model[0](x[:, :3])  # the wrong width: raises inside a layer
        return squares(model, x, noise)

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        capture_factors(model, failing, randn(5, 4))
    assert_same_state(before, model)


def test_batch_norm_in_train_mode_is_refused_by_name() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    with pytest.raises(ValueError, match=r"BatchNorm1d '1' is in train mode"):
        capture_factors(model, squares, torch.randn(5, 4))
    bare = nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False)).eval()
    with pytest.raises(ValueError, match=r"BatchNorm1d '0' keeps no running statistics"):
        capture_factors(bare, squares, torch.randn(5, 4))


def test_dropout_in_train_mode_is_refused_by_name() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.2))
    with pytest.raises(ValueError, match=r"Dropout '1' is in train mode"):
        capture_factors(model, squares, torch.randn(5, 4))


def test_a_loss_that_mixes_samples_is_refused() -> None:
    def centred(model: nn.Module, x: Tensor, noise: None) -> Tensor:
        y = model(x)
        return ((y - y.mean(0)) ** 2).sum(1)

    with pytest.raises(ValueError, match=r"the loss of row 0 of the batch is .* alone"):
        capture_factors(nn.Linear(4, 3), centred, torch.randn(5, 4))


def test_a_loss_with_noise_of_its_own_is_refused() -> None:
    def noisy(model: nn.Module, x: Tensor, noise: None) -> Tensor:
        return squares(model, x + torch.randn_like(x), None)

    with pytest.raises(ValueError, match="draws noise of its own"):
        capture_factors(nn.Linear(4, 3), noisy, torch.randn(5, 4))


def test_a_batch_that_is_mixed_beyond_the_probe_is_refused() -> None:
    # Alike in the probe of three, mixed from four samples on.
    def mixing(model: nn.Module, x: Tensor, noise: None) -> Tensor:
        y = model(x)
        shift = y.mean(0) if len(x) > 3 else 0.0
        return ((y - shift) ** 2).sum(1)

    with pytest.raises(ValueError, match=r"in a batch of 5 and"):
        capture_factors(nn.Linear(4, 3), mixing, torch.randn(5, 4))


def test_a_model_that_changes_its_structure_with_the_batch_is_refused() -> None:
    class Turning(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            order = torch.arange(len(x)).roll(int(len(x) > 3))
            back = torch.argsort(order)
            return self.layer(x[order])[back]

    with pytest.raises(ValueError, match=r"layer\.bias, layer\.weight differ from autograd's"):
        capture_factors(seeded(Turning), squares, randn(5, 4))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_refused_by_row(bad: float) -> None:
    def broken(model: nn.Module, x: Tensor, noise: None) -> Tensor:
        return squares(model, x, noise) * torch.where(x[:, 0] == 7, bad, 1.0)

    x = torch.zeros(9, 4)
    x[5, 0] = 7
    with pytest.raises(ValueError, match=rf"loss of row 5 of the batch is {bad}"):
        capture_factors(nn.Linear(4, 3), broken, x)


def test_a_gradient_that_is_not_finite_is_refused_by_layer() -> None:
    def root(model: nn.Module, x: Tensor, noise: None) -> Tensor:
        return model(x).abs().sum(1).sqrt()

    model = nn.Linear(4, 3, bias=False)
    with pytest.raises(
        ValueError, match="the gradient of weight at row 0 of the batch is not finite"
    ):
        capture_factors(model, root, torch.zeros(2, 4))


def test_a_gradient_that_is_not_finite_beyond_the_probe_is_refused_by_layer() -> None:
    def root(model: nn.Module, x: Tensor, noise: None) -> Tensor:
        return model(x).abs().sum(1).sqrt()

    x = torch.ones(9, 4)
    x[5] = 0
    with pytest.raises(ValueError, match="the gradient of weight is not finite"):
        capture_factors(nn.Linear(4, 3, bias=False), root, x)


def test_losses_of_the_wrong_shape_are_refused() -> None:
    x = torch.randn(5, 4)
    for loss, seen in (
        (lambda m, x, noise: squares(m, x, noise).mean(), r"\(\)"),
        (lambda m, x, noise: squares(m, x, noise)[:, None], r"\(3, 1\)"),
        (lambda m, x, noise: 3.0, "float"),
    ):
        with pytest.raises(ValueError, match=rf"has shape {seen}; \(3,\), one number per sample"):
            capture_factors(nn.Linear(4, 3), loss, x)


def test_frozen_and_unreached_models_are_refused() -> None:
    x = torch.randn(5, 4)
    with pytest.raises(ValueError, match="no parameter of the model requires a gradient"):
        capture_factors(nn.Linear(4, 3).requires_grad_(False), squares, x)
    other = nn.Linear(4, 3)
    with pytest.raises(ValueError, match="does not depend on any trainable parameter"):
        capture_factors(nn.Linear(4, 3), lambda m, x, noise: x.sum(1), x)
    # A loss that forgets its argument traces another model, whose parameters are not these.
    with pytest.raises(ValueError, match="does not depend on any trainable parameter"):
        capture_factors(nn.Linear(4, 3), lambda m, x, noise: squares(other, x, noise), x)


def test_uncovered_parameters_are_named_with_their_share() -> None:
    class Phase(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)
            self.phase = nn.Parameter(torch.randn(5, dtype=torch.complex64))

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x) * self.phase.abs().sum()

    model, x = Phase(), torch.randn(5, 4)
    with pytest.raises(
        ValueError, match=r"5 of 20 .*\(25\.00%\) are not covered: phase; strict=False"
    ):
        capture_factors(model, squares, x)
    with pytest.warns(UserWarning, match=r"5 of 20 trainable numbers .* phase"):
        factors = capture_factors(model, squares, x, strict=False)
    assert {layer.name for layer in factors.layers} == {"layer.weight"}


def test_an_input_changed_in_place_is_refused() -> None:
    class Overwriting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            h = x * 2
            y = self.layer(h)
            h.zero_()
            return y

    with pytest.raises(ValueError, match="input of a Linear layer was changed in place"):
        capture_factors(Overwriting(), squares, torch.randn(3, 4))


def test_empty_batches_wrong_noise_and_unknown_forms_are_refused() -> None:
    with pytest.raises(ValueError, match="the batch has 0 rows"):
        capture_factors(nn.Linear(4, 3), squares, torch.zeros(0, 4))
    with pytest.raises(ValueError, match="noise is given for 2 rows and the batch has 3"):
        capture_factors(nn.Linear(4, 3), squares, torch.zeros(3, 4), torch.zeros(2, 1, 1))
    with pytest.raises(ValueError, match="form is 'sparse'; one of pairs, norms, tokens, dense"):
        capture_factors(nn.Linear(4, 3), squares, torch.zeros(3, 4), form="sparse")


def test_no_warning_reaches_the_user() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        capture_factors(seeded(Bare), squares, randn(5, 4))
