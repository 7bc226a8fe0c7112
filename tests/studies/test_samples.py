from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genmem.datasets import Dataset, load
from genmem.ledger import read_unit
from genmem.studies.neighbourhood import neighbours
from genmem.studies.samples import (
    either_end,
    influence_table,
    neighbour_table,
    read_neighbours,
    write_images,
    write_self_influence,
)


@pytest.fixture(scope="module")
def data() -> Dataset:
    whole = load("digits", limit=60)
    order = np.random.default_rng(0).permutation(60)
    return whole.take(order)


def test_either_end_lists_each_position_once() -> None:
    assert either_end(np.array([3.0, 9, 1, 5]), 1).tolist() == [1, 2]
    assert either_end(np.array([3.0, 9, 1, 5]), 3).tolist() == [1, 3, 0, 2]
    assert either_end(np.array([2.0, 2, 2]), 1).tolist() == [0]
    assert either_end(np.array([2.0, np.inf]), 9).tolist() == [1, 0]


def test_neighbours_come_back_from_their_table(data: Dataset) -> None:
    near = neighbours(data, 3)
    table = neighbour_table(data, near)
    first = table[table["index"] == data.index[11]]
    assert first["rank"].tolist() == [1, 2, 3]
    assert first["neighbour"].tolist() == data.index[near.positions[11]].tolist()
    back = read_neighbours(data, table)
    assert (back.positions == near.positions).all()
    assert (back.distances == near.distances).all()


class Products:
    """An influence that is a known matrix."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = matrix

    def influence(self, test: Dataset, train: Dataset) -> np.ndarray:
        place = {int(name): row for row, name in enumerate(train.index)}
        return self.matrix[[place[int(name)] for name in test.index]]

    def self_influence(self, train: Dataset, unbiased: bool = False) -> np.ndarray:
        return np.diagonal(self.matrix) * (0.5 if unbiased else 1)


def test_proponents_are_positive_and_opponents_negative(data: Dataset) -> None:
    matrix = np.zeros((60, 60))
    matrix[4, [7, 8, 9]] = [1, 3, -2]
    matrix[5, :] = 1
    table = influence_table(Products(matrix), data, np.array([5, 4]), 2)
    rows = [tuple(row) for row in table.itertuples(index=False)]
    name = data.index
    assert rows == [
        (name[5], "proponent", 1, name[0], 1),
        (name[5], "proponent", 2, name[1], 1),
        (name[4], "proponent", 1, name[8], 3),
        (name[4], "proponent", 2, name[7], 1),
        (name[4], "opponent", 1, name[9], -2),
    ]


def test_self_influence_is_written_in_both_forms(data: Dataset, tmp_path: Path) -> None:
    matrix = np.diag(np.arange(60.0))
    own = write_self_influence(tmp_path / "s.parquet", Products(matrix), data)
    table = pd.read_parquet(tmp_path / "s.parquet")
    assert (own == np.arange(60)).all()
    assert (table["index"] == data.index).all()
    assert (table["self_influence"] == own).all()
    assert (table["unbiased"] == own / 2).all()


def test_images_fill_the_grey_scale(data: Dataset, tmp_path: Path) -> None:
    write_images(tmp_path / "i.safetensors", data, [9, 3, 3])
    arrays, _ = read_unit(tmp_path / "i.safetensors")
    assert arrays["index"].tolist() == data.index[[3, 9]].tolist()
    assert arrays["pixels"].shape == (2, 1, 8, 8)
    assert arrays["pixels"].dtype == np.uint8
    want = np.rint(data.x[[3, 9]] * (255 / 16))
    assert (arrays["pixels"] == want).all()
    assert arrays["pixels"].max() == 255


@pytest.mark.parametrize("shape", [(5,), (2, 3, 3), (4, 6, 6)])
def test_samples_that_are_no_pictures_become_a_strip(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    x = np.random.default_rng(0).random((4, *shape))
    write_images(tmp_path / "i.safetensors", Dataset("odd", x, value_range=(0, 1)), [0, 2])
    pixels = read_unit(tmp_path / "i.safetensors")[0]["pixels"]
    assert pixels.shape == (2, 1, 1, np.prod(shape))
    assert (pixels[1].ravel() == np.rint(255 * x[2].ravel().astype(np.float32))).all()
