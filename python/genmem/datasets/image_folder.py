"""A folder of images, read with Pillow; sub-folders are classes when there are any."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genmem.datasets.dataset import Dataset
from genmem.errors import DataError

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
)
# One channel in one byte, and what becomes three channels without loss.
_GREY = frozenset({"1", "L"})
_COLOUR = frozenset({"RGB", "P"})

Bytes = npt.NDArray[np.uint8]


def load(path: str | Path, *, split: str = "train", limit: int | None = None) -> Dataset:
    """The images below a folder, uint8 in 0..255, in the order of their paths (by code point).

    Images directly in the folder have no labels; images in sub-folders have the first folder of
    their path as class. A folder that holds `train` and `test` is read as that split. Hidden files
    and files with other suffixes than those of images are passed over. Grey images give (1, H, W);
    colour images (3, H, W), and then grey ones among them are repeated over the channels.

    Raises DataError if there is no image, if images lie both beside and inside sub-folders, for
    images of several sizes (listed), more than one frame, transparency, or more than 8 bits.
    """
    root = Path(path)
    start = 0
    if (root / "train").is_dir() and (root / "test").is_dir():
        start = 0 if split == "train" else len(_files(root / "train"))
        root = root / split
    elif split != "train":
        raise DataError(f"{root} has no split {split!r}: it holds no folders train and test")
    files = _files(root)
    depths = {len(file.relative_to(root).parts) > 1 for file in files}
    if len(depths) != 1:
        what = "images both beside and inside sub-folders" if depths else "no images"
        raise DataError(
            f"{root} holds {what}; images in one folder, or one folder a class, are wanted"
        )
    names = [file.relative_to(root).parts[0] for file in files] if True in depths else []
    classes = sorted(set(names))
    kept = files[:limit]
    return Dataset(
        name=Path(path).resolve().name + ("" if split == "train" else f"-{split}"),
        x=_pixels(root, kept),
        y=np.array([classes.index(name) for name in names[:limit]], np.int64) if names else None,
        index=np.arange(start, start + len(kept), dtype=np.int64),
        value_range=(0.0, 255.0),
        classes=tuple(classes) if names else None,
    )


def _files(root: Path) -> list[Path]:
    found = (
        path
        for path in root.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )
    return sorted(found, key=lambda path: path.relative_to(root).parts)


def _pixels(root: Path, files: list[Path]) -> Bytes:
    headers = [_header(file) for file in files]
    sizes = Counter(size for size, _ in headers)
    if len(sizes) > 1:
        listed = ", ".join(f"{w} x {h} ({count})" for (w, h), count in sizes.most_common(8))
        raise DataError(
            f"{root}: the images have {len(sizes)} sizes: {listed}{', ...' * (len(sizes) > 8)}; "
            "one size is wanted"
        )
    width, height = headers[0][0]
    colour = any(mode in _COLOUR for _, mode in headers)
    out = np.empty((len(files), 3 if colour else 1, height, width), np.uint8)
    for row, file in enumerate(files):
        out[row] = _decode(file, colour)
    return out


def _header(file: Path) -> tuple[tuple[int, int], str]:
    from PIL import Image

    try:
        with Image.open(file) as picture:
            frames, mode = getattr(picture, "n_frames", 1), picture.mode
            size, transparent = picture.size, "transparency" in picture.info
    except OSError as error:
        raise DataError(f"{file} cannot be read as an image: {error}") from error
    if frames != 1:
        raise DataError(f"{file} has {frames} frames; one is wanted")
    if transparent or mode not in _GREY | _COLOUR:
        with_alpha = ", with transparency" if transparent else ""
        raise DataError(f"{file} has mode {mode}{with_alpha}; 8-bit grey or RGB is wanted")
    return size, mode


def _decode(file: Path, colour: bool) -> Bytes:
    from PIL import Image

    try:
        with Image.open(file) as picture:
            pixels = np.asarray(picture.convert("RGB" if colour else "L"), np.uint8)
    except OSError as error:
        raise DataError(f"{file} is truncated or corrupted: {error}") from error
    return pixels.transpose(2, 0, 1) if colour else pixels[None]
