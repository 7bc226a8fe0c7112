"""Data URIs hold the pixels: exactly while small, of a bounded size beyond."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from genmem.reports.pictures import SMALL, THUMB_SIDE, data_uri, pixelated


def opened(uri: str) -> Image.Image:
    head, _, body = uri.partition(",")
    assert head in ("data:image/png;base64", "data:image/jpeg;base64")
    return Image.open(io.BytesIO(base64.b64decode(body)))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 1, 40), (1, 28, 17)])
def test_small_pictures_are_exact(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, shape).astype(np.uint8)
    back = np.asarray(opened(data_uri(pixels, THUMB_SIDE)))
    want = pixels[0] if shape[0] == 1 else pixels.transpose(1, 2, 0)
    assert np.array_equal(back, want)


@pytest.mark.parametrize("shape", [(1, 41, 41), (3, 200, 100), (3, 64, 300)])
def test_large_pictures_are_reduced(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, shape).astype(np.uint8)
    assert max(shape[1:]) > SMALL
    image = opened(data_uri(pixels, THUMB_SIDE))
    assert image.format == "JPEG"
    assert max(image.size) <= THUMB_SIDE
    height, width = shape[1:]
    assert abs(image.size[0] / image.size[1] - width / height) <= 0.15


def test_the_same_pixels_give_the_same_text(rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (3, 90, 90)).astype(np.uint8)
    assert data_uri(pixels, 50) == data_uri(pixels.copy(), 50)


def test_only_small_pictures_show_their_pixels() -> None:
    assert pixelated(np.zeros((1, 28, 28), np.uint8))
    assert not pixelated(np.zeros((3, 128, 64), np.uint8))
