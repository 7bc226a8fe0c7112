"""How often the sides of an image can be halved: the depth of a stack of strided convolutions."""

from __future__ import annotations

from collections.abc import Sequence


def stages(
    model: str, shape: Sequence[int], channels: Sequence[int], *, chosen: bool
) -> tuple[tuple[int, ...], tuple[int, int]]:
    """The channels of each halving stage, and the (height, width) that is left after them.

    channels  those of the published depth; an image that cannot be halved as often uses the first
    chosen    whether the user asked for these channels, of which none may then be left out

    Raises ValueError if `shape` is no image, or a side is odd or would become less than 2.
    """
    if len(shape) != 3:
        raise ValueError(
            f"build: {model!r} convolves images of shape (channels, height, width); "
            f"the samples have shape {tuple(shape)}"
        )
    height, width = shape[1], shape[2]
    depth = 0
    while depth < len(channels) and _halves(height) and _halves(width):
        height, width, depth = height // 2, width // 2, depth + 1
    if depth == 0 or (chosen and depth < len(channels)):
        wanted = len(channels) if chosen else 1
        raise ValueError(
            f"build: an image of {shape[1]} x {shape[2]} can be halved {depth} times down to no "
            f"less than 2; {model!r} wants sides that can be halved {wanted} times: pad or resize"
        )
    return tuple(channels[:depth]), (height, width)


def _halves(side: int) -> bool:
    return side % 2 == 0 and side >= 4
