"""Samples as data URIs: lossless while small, reduced and coded as JPEG beyond."""

from __future__ import annotations

import base64
import io

import numpy as np
import numpy.typing as npt

SMALL = 40
FACE_SIDE = 192
THUMB_SIDE = 72
PIXELATED_SIDE = 64


def data_uri(pixels: npt.NDArray[np.uint8], side: int) -> str:
    """One image (C, H, W) uint8, C 1 or 3, as the text of an `img` source.

    Up to SMALL pixels a side it is kept exactly, as PNG; above, it is reduced to `side` and coded
    as JPEG, since a page shows some 240 of them.
    """
    from PIL import Image

    image = Image.fromarray(
        pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))
    )
    buffer = io.BytesIO()
    if max(image.size) <= SMALL:
        image.save(buffer, format="PNG", optimize=True)
        kind = "png"
    else:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        image.save(buffer, format="JPEG", quality=85)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def pixelated(pixels: npt.NDArray[np.uint8]) -> bool:
    """Whether enlargement should keep the pixels visible as squares."""
    return bool(max(pixels.shape[1:]) <= PIXELATED_SIDE)
