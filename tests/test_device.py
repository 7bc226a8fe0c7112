"""The device behind a name; TF32 is off while models compute on a card. No card is needed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from torch import nn

from genmem.device import UNWRITTEN, device_of, full_precision, recorded, torch_device
from genmem.errors import BackendError
from genmem.ledger import bind
from pretend_card import CARD, pretended_card

CPU = torch.device("cpu")


def test_names_of_devices() -> None:
    assert torch_device("cpu", "x") == CPU
    with pretended_card():
        names = ("auto", "cuda", "cuda:0", CARD)
        assert [torch_device(name, "x") for name in names] == [CARD] * 4
        assert torch_device("cpu", "x") == CPU


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "meta", ""])
def test_what_is_no_device(name: str) -> None:
    with pytest.raises(ValueError, match=rf"x: device is '{name}'; 'auto', 'cpu', 'cuda' or"):
        torch_device(name, "x")


def test_cards_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended_card():
        with pytest.raises(
            BackendError, match=r"x: device 'cuda:1' .* torch sees 1 card, numbered"
        ):
            torch_device("cuda:1", "x")
        monkeypatch.setattr(torch, "ones", _no_kernel)
        with pytest.raises(BackendError, match=r"'auto' cannot be used: no kernel image is avail"):
            torch_device("auto", "x")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for built, why in (("12.6", "torch sees no card"), (None, "this torch was built without CUDA")):
        monkeypatch.setattr(torch.version, "cuda", built)
        with pytest.raises(BackendError, match=f"x: device 'cuda' cannot be used: {why}"):
            torch_device("cuda", "x")
    assert torch_device("auto", "x") == CPU


def _no_kernel(*_: object, **__: object) -> None:
    raise RuntimeError("no kernel image is available for execution on the device\nmore lines")


def test_auto_leaves_on_the_processor_what_was_begun_there(tmp_path: Path) -> None:
    for device in (CPU, CARD):
        bind(tmp_path / device.type, {"seed": 1, "device": recorded(device)}, UNWRITTEN)
    with pretended_card():
        assert torch_device("auto", "x", tmp_path / "cpu") == CPU
        assert torch_device("cuda", "x", tmp_path / "cpu") == CARD
        assert torch_device("auto", "x", tmp_path / "cuda") == CARD
        assert torch_device("auto", "x", tmp_path / "none yet") == CARD


def test_the_device_of_a_model() -> None:
    assert device_of(nn.ReLU()) == device_of(nn.Linear(1, 1)) == CPU
    with pretended_card():
        assert device_of(nn.Linear(1, 1).to("cuda")) == CARD


def switches() -> tuple[object, ...]:
    """What decides how products round, of the processor and of cards, and how these sum."""
    cudnn, matmul, onednn = torch.backends.cudnn, torch.backends.cuda.matmul, torch.backends.mkldnn
    order = cudnn.deterministic, cudnn.benchmark
    if not hasattr(matmul, "fp32_precision"):
        pytest.skip("this torch has only the old switches")
    named = (onednn.matmul, onednn.conv, matmul, cudnn.conv)
    return *(one.fp32_precision for one in named), *order


def test_switches_are_put_back() -> None:
    before = switches()
    with full_precision(CPU):
        assert switches() == ("ieee", "ieee", *before[2:])
    with full_precision(CARD):
        assert switches() == (*before[:2], "ieee", "ieee", True, False)
    assert switches() == before
    for device in (CPU, CARD):
        with pytest.raises(KeyError, match="inside"), full_precision(device):
            raise KeyError("inside")
        assert switches() == before


def test_threads_that_overlap_put_the_first_settings_back() -> None:
    before, entered, leave = switches(), threading.Event(), threading.Event()
    seen: list[tuple[object, ...]] = []

    def longer() -> None:
        with full_precision(CARD):
            entered.set()
            leave.wait(10)
            seen.append(switches())

    with full_precision(CARD):
        within = switches()
        thread = threading.Thread(target=longer)
        thread.start()
        assert entered.wait(10)
    leave.set()
    thread.join()
    assert seen == [within]
    assert switches() == before


def test_autocast_is_off() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16), full_precision(CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_a_precision_that_the_caller_has_lowered_is_not_taken() -> None:
    """ "medium" lets processors with bfloat16 take it for products of float32."""
    a = torch.randn(256, 256, generator=torch.Generator().manual_seed(0))
    want, before = a.double() @ a.double(), torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with full_precision(CPU):
            found = a @ a
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert (found - want).abs().max() <= 5e-5
    assert torch.equal(found, a @ a)
