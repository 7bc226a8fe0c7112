"""A card that is not there: arithmetic of the CPU in tensors that say they lie on "cuda:0".

A tensor of the pretended card holds one of the CPU, and answers as a card's does where placement
goes wrong: beside a tensor of the CPU in one operation (but for numbers without dimensions), or
asked for its NumPy array. The arithmetic is the CPU's, so that placement alone is tested: what runs
there and here must end with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

CARD, CPU = torch.device("cuda", 0), torch.device("cpu")
# What torch takes for the device below Python: its autograd has no queue for an absent card.
_STAND_IN = torch.device("meta")
_BETWEEN_DEVICES = (torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default)


class OnCard(torch.Tensor):
    """A tensor of the pretended card; `held` has its values."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> OnCard:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=_STAND_IN,
        )
        made.held = held
        return made

    @property
    def device(self) -> torch.device:
        return CARD

    @property
    def is_cuda(self) -> bool:
        return True

    @property
    def is_meta(self) -> bool:
        return False

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        values = self.held.detach().numpy()
        return {
            "shape": values.shape,
            "typestr": values.dtype.str,
            "data": (values.ctypes.data, False),
            "strides": values.strides,
            "version": 2,
        }

    def tolist(self) -> Any:
        return self.held.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        if force:
            return self.held.numpy()
        raise TypeError(
            "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor "
            "to host memory first."
        )

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self.numpy()

    def __repr__(self, **_: Any) -> str:
        return f"OnCard({self.held!r})"

    @classmethod
    def __torch_dispatch__(cls, kernel: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(kernel, args, kwargs or {})


class _Factories(TorchDispatchMode):
    """A kernel that names the card makes its tensor there, though none of its arguments lies so."""

    def __torch_dispatch__(
        self, kernel: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _computed(kernel, args, kwargs or {})


class _Calls(TorchFunctionMode):
    """Calls that name the card go on with the stand-in's name: torch would look for a driver."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if function is torch.Tensor.cuda:
            return _moved(args[0], CARD)
        if function is torch.Tensor.to:
            return _to(*args, **kwargs)
        if function is torch.tensor:  # fills what it makes without a kernel
            made = function(*args, **{**kwargs, "device": CPU})
            return _to(made, kwargs.get("device"))
        if _names_card(kwargs.get("device")):
            kwargs = {**kwargs, "device": _STAND_IN}
        return function(*args, **kwargs)


def _names_card(value: Any) -> bool:
    return isinstance(value, torch.device | str) and str(value).partition(":")[0] == "cuda"


def _to(
    tensor: torch.Tensor,
    *args: Any,
    device: Any = None,
    dtype: torch.dtype | None = None,
    copy: bool = False,
    **_: Any,
) -> torch.Tensor:
    """Tensor.to, of devices that torch does not know to differ."""
    for given in args:
        if isinstance(given, torch.Tensor):
            device, dtype = given.device, given.dtype
        elif isinstance(given, torch.dtype):
            dtype = given
        elif isinstance(given, torch.device | str):
            device = given
    found = tensor
    if dtype not in (None, tensor.dtype):
        found = torch.ops.aten._to_copy(found, dtype=dtype)
    if device is not None and torch.device(device).type != found.device.type:
        found = _moved(found, torch.device(device))
    return found.clone() if copy and found is tensor else found


def _moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    there = _STAND_IN if device.type == "cuda" else device
    found: torch.Tensor = torch.ops.aten._to_copy(tensor, device=there)
    return found


def _computed(kernel: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """A kernel on the CPU; what it makes lies where it names, or else where its arguments lie."""
    values, form = tree_flatten((args, kwargs))
    cards = [one for one in values if isinstance(one, OnCard)]
    hosts = [one for one in values if isinstance(one, torch.Tensor) and type(one) is not OnCard]
    if cards and kernel not in _BETWEEN_DEVICES and any(one.dim() for one in hosts):
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, cuda:0 "
            f"and cpu! ({kernel})"
        )
    named = [one for one in values if isinstance(one, torch.device)]
    on_card = any(one != CPU for one in named) if named else bool(cards)
    plain_args, plain_kwargs = tree_unflatten([_plain(one) for one in values], form)
    if not (cards or on_card):
        return kernel(*plain_args, **plain_kwargs)
    known = {id(one.held): one for one in cards}
    # Inference mode takes views of its own tensors and of others, not of others that hold its own.
    with torch.inference_mode(False), torch.no_grad():
        found = kernel(*plain_args, **plain_kwargs)
        if kernel is torch.ops.aten.copy_.default:
            return args[0]
        return tree_map(lambda one: _wrapped(one, known), found) if on_card else found


def _plain(value: Any) -> Any:
    if isinstance(value, OnCard):
        return value.held
    return CPU if isinstance(value, torch.device) else value


def _wrapped(value: Any, known: dict[int, OnCard]) -> Any:
    """A tensor as one of the card; what was changed in place is the argument it was."""
    if not isinstance(value, torch.Tensor) or isinstance(value, OnCard):
        return value
    return known[id(value)] if id(value) in known else OnCard(value)


@contextmanager
def pretended_card() -> Iterator[torch.device]:
    """A machine with one card, as far as users of torch can tell."""
    cuda = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "get_rng_state": lambda device: torch.get_rng_state(),
        "set_rng_state": lambda state, device: None,
    }
    with mock.patch.multiple(torch.cuda, **cuda), _Calls(), _Factories():
        yield CARD
