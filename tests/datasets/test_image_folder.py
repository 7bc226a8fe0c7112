"""A folder of images: order, classes, channels, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genmem.datasets import load
from genmem.errors import DataError

RANDOM = np.random.default_rng(3)


def picture(path: Path, size: tuple[int, int] = (4, 3), mode: str = "L") -> np.ndarray:
    """Write noise and give it back as (C, H, W)."""
    width, height = size
    shape = (height, width) if mode == "L" else (height, width, 3)
    pixels = RANDOM.integers(0, 256, shape, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels[None] if mode == "L" else pixels.transpose(2, 0, 1)


def test_a_flat_folder(tmp_path: Path) -> None:
    root = tmp_path / "faces"
    # Written out of order; "B" sorts before "a" by code point, whatever the locale.
    images = {
        name: picture(root / name) for name in ("b.png", "a.bmp", "B.png", "a10.pgm", "a9.png")
    }
    (root / "notes.txt").write_text("not an image")
    (root / ".hidden.png").write_bytes(b"")
    data = load(root)
    assert data.name == "faces"
    assert data.y is None
    assert data.classes is None
    assert data.shape == (1, 3, 4)
    order = ["B.png", "a.bmp", "a10.pgm", "a9.png", "b.png"]
    assert np.array_equal(data.x, np.stack([images[name] for name in order]))
    assert np.array_equal(load(root, limit=2).x, data.x[:2])


def test_sub_folders_are_classes(tmp_path: Path) -> None:
    images = [
        picture(tmp_path / "cat" / "2.png", mode="RGB"),
        picture(tmp_path / "dog" / "1.png", mode="RGB"),
        picture(tmp_path / "dog" / "deep" / "0.PNG", mode="RGB"),
    ]
    picture(tmp_path / ".ipynb_checkpoints" / "x.png")
    (tmp_path / "empty").mkdir()
    data = load(tmp_path)
    assert data.classes == ("cat", "dog")
    assert data.y is not None
    assert data.y.tolist() == [0, 1, 1]
    assert np.array_equal(data.x, np.stack(images))
    first = load(tmp_path, limit=1)
    assert first.classes == ("cat", "dog")
    assert first.y is not None
    assert first.y.tolist() == [0]


def test_grey_among_colour_is_repeated_over_the_channels(tmp_path: Path) -> None:
    grey = picture(tmp_path / "a.png")
    colour = picture(tmp_path / "b.png", mode="RGB")
    data = load(tmp_path)
    assert np.array_equal(data.x[0], np.repeat(grey, 3, axis=0))
    assert np.array_equal(data.x[1], colour)


def test_one_bit_and_palette_images(tmp_path: Path) -> None:
    bits = RANDOM.integers(0, 2, (3, 4)).astype(bool)
    (tmp_path / "bits").mkdir()
    Image.fromarray(bits).save(tmp_path / "bits" / "a.png")
    assert np.array_equal(load(tmp_path / "bits").x[0, 0], 255 * bits)
    (tmp_path / "palette").mkdir()
    palette = Image.fromarray(np.array([[0, 1, 1]], np.uint8), mode=None).convert("P")
    palette.putpalette([9, 8, 7, 6, 5, 4])
    palette.putdata([0, 1, 1])
    palette.save(tmp_path / "palette" / "a.png")
    got = load(tmp_path / "palette").x
    assert got[0].transpose(1, 2, 0).tolist() == [[[9, 8, 7], [6, 5, 4], [6, 5, 4]]]


def test_train_and_test_folders(tmp_path: Path) -> None:
    for name in ("train/a/1.png", "train/b/1.png", "train/b/2.png", "test/a/1.png"):
        picture(tmp_path / name)
    train, test = load(tmp_path), load(tmp_path, split="test")
    assert (len(train), len(test)) == (3, 1)
    assert train.classes == ("a", "b")
    # Identities count on, so that no noise is shared.
    assert (train.index.tolist(), test.index.tolist()) == ([0, 1, 2], [3])
    assert test.name == f"{tmp_path.name}-test"
    with pytest.raises(DataError, match="has no split 'test': it holds no folders train and test"):
        load(tmp_path / "train", split="test")


def test_several_sizes_are_listed(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / f"{number}.png", (8, 6))
    picture(tmp_path / "9.png", (5, 6))
    with pytest.raises(DataError, match=r"have 2 sizes: 8 x 6 \(3\), 5 x 6 \(1\); one size"):
        load(tmp_path)
    assert len(load(tmp_path, limit=3)) == 3


def test_many_sizes_are_cut_short(tmp_path: Path) -> None:
    for width in range(1, 11):
        picture(tmp_path / f"{width:02d}.png", (width, 1))
    with pytest.raises(DataError, match=r"10 sizes: .*8 x 1 \(1\), \.\.\.; one size"):
        load(tmp_path)


def test_folders_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no images"):
        load(tmp_path)
    picture(tmp_path / "a.png")
    picture(tmp_path / "class" / "b.png")
    with pytest.raises(DataError, match="images both beside and inside sub-folders"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "image", "wanted"),
    [
        ("a.png", Image.new("RGBA", (2, 2)), "a.png has mode RGBA; 8-bit grey or RGB"),
        ("a.png", Image.new("LA", (2, 2)), "has mode LA"),
        ("a.png", Image.new("I;16", (2, 2)), "has mode I;16"),
        ("a.tiff", Image.new("F", (2, 2)), "has mode F"),
        ("a.jpg", Image.new("CMYK", (2, 2)), "has mode CMYK"),
    ],
)
def test_modes_that_are_refused(tmp_path: Path, name: str, image: Image.Image, wanted: str) -> None:
    image.save(tmp_path / name)
    with pytest.raises(DataError, match=wanted):
        load(tmp_path)


def test_transparency_and_frames_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    Image.new("L", (2, 2)).save(tmp_path / "t" / "a.png", transparency=0)
    with pytest.raises(DataError, match=r"a.png has mode L, with transparency"):
        load(tmp_path / "t")
    (tmp_path / "f").mkdir()
    frames = [Image.new("L", (2, 2), grey) for grey in (0, 90, 200)]
    frames[0].save(tmp_path / "f" / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"a.gif has 3 frames; one is wanted"):
        load(tmp_path / "f")


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", (40, 40))
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"a.png is truncated or corrupted"):
        load(tmp_path)
    (tmp_path / "a.png").write_bytes(b"hello")
    with pytest.raises(DataError, match=r"a.png cannot be read as an image"):
        load(tmp_path)
