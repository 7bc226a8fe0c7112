"""What the copying tests accept: kinds of arrays, features, and errors that name what is wrong."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from draws import TESTS, Maker, column
from genmem.copying.sets import Sets, prepare
from genmem.errors import BackendError


def made(train: Any, test: Any, generated: Any, features: Any = None, seed: int = 0) -> Sets:
    return prepare("test", train, test, generated, features, seed)


def test_images_become_rows(rng: np.random.Generator) -> None:
    images = [rng.integers(0, 256, (n, 1, 4, 4)).astype(np.uint8) for n in (5, 3, 2)]
    found = made(*images)
    assert [rows.shape for rows in found] == [(5, 16), (3, 16), (2, 16)]
    assert found.train.dtype == np.uint8
    assert (found.test == images[1].reshape(3, 16)).all()


@pytest.mark.parametrize("name", TESTS)
def test_torch_and_numpy_agree(name: str, draws: Maker) -> None:
    torch = pytest.importorskip("torch")
    sets = draws(1, (60, 30, 30), copies=3)
    options = {"threshold": 0.0} if name == "data_copying" else {}
    plain = TESTS[name](*sets, **options)
    tensors = TESTS[name](*(torch.from_numpy(rows) for rows in sets), **options)
    assert tensors.statistic == plain.statistic
    assert isinstance(tensors.per_sample, np.ndarray)
    assert np.array_equal(tensors.per_sample, plain.per_sample, equal_nan=True)


def test_a_tensor_that_is_not_on_the_cpu_is_refused() -> None:
    torch = pytest.importorskip("torch")
    meta = torch.empty((3, 2), device="meta")
    with pytest.raises(BackendError, match=r"test: train is on meta"):
        made(meta, np.zeros((1, 2)), np.zeros((1, 2)))


@pytest.mark.parametrize("name", TESTS)
def test_bytes_and_floats_of_the_same_values_agree(name: str, rng: np.random.Generator) -> None:
    bytes_ = [rng.integers(0, 256, (n, 6)).astype(np.uint8) for n in (60, 30, 30)]
    options = {"threshold": 0.0} if name == "data_copying" else {}
    found = TESTS[name](*bytes_, **options)
    same = TESTS[name](*(rows.astype(np.float64) for rows in bytes_), **options)
    assert np.isclose(found.statistic, same.statistic, rtol=1e-6)


def test_principal_components_are_fitted_on_the_training_rows(draws: Maker) -> None:
    train, test, generated = draws(2, (200, 20, 30), 80)
    found = made(train, test, generated, "pca")
    assert [rows.shape for rows in found] == [(200, 64), (20, 64), (30, 64)]
    others = made(train, test + 5, generated[:7], "pca")
    assert (others.train == found.train).all()
    assert np.allclose(others.generated, found.generated[:7], atol=1e-10)
    assert abs(found.train.mean(axis=0)).max() < 1e-10
    few = made(train[:10, :4], test[:, :4], generated[:, :4], "pca")
    assert few.train.shape == (10, 4)


def test_directions_that_only_rounding_varies_in_are_no_components(
    rng: np.random.Generator,
) -> None:
    """12 rows span 11 directions, wherever the origin is; a feature that is 0 in train is none."""
    rows = rng.standard_normal((30, 40))
    rows[:12, 7] = 0
    for offset in (0.0, 1e4):
        found = made(rows[:12] + offset, rows[12:20] + offset, rows[20:] + offset, "pca")
        assert [len(one) for one in found] == [12, 8, 10]
        assert found.train.shape[1] == 11
        assert found.train.std(axis=0).min() > 0.1
    pooled = prepare("test", rows[:12], rows[12:20], rows[20:], "pca", 0, pooled=True)
    assert pooled.train.shape[1] == 19
    assert abs(np.concatenate(pooled[:2]).mean(axis=0)).max() < 1e-10


@pytest.mark.parametrize(
    "features", ["pca", lambda rows: rows @ np.random.default_rng(0).random((784, 30))]
)
def test_copies_stay_copies_under_features(features: Any, rng: np.random.Generator) -> None:
    """A product of matrices rounds a row by its place in the batch; equal rows are tied again."""
    train = rng.random((301, 784)).astype(np.float32)
    generated = np.concatenate([train[7:8], rng.random((3, 784)), train[300:]]).astype(np.float32)
    test = rng.random((5, 784)).astype(np.float32)
    found = made(train, test, generated, features)
    assert (found.generated[0] == found.train[7]).all()
    assert (found.generated[4] == found.train[300]).all()
    assert TESTS["third_ratio"](train, test, generated, features=features).copies == 2


def test_a_function_sees_what_was_given() -> None:
    seen = []

    def embed(images: Any) -> Any:
        seen.append(images.shape)
        return images.mean(axis=(1, 2))

    sets = [np.random.default_rng(0).random((n, 3, 4, 2)) for n in (5, 6, 7)]
    found = made(*sets, embed)
    assert seen == [(5, 3, 4, 2), (6, 3, 4, 2), (7, 3, 4, 2)]
    assert found.train.shape == (5, 2)


def test_a_triple_of_arrays(draws: Maker) -> None:
    sets, other = draws(3), draws(4, dim=2)
    found = made(*sets, tuple(other))
    assert all((a == b).all() for a, b in zip(found, other, strict=True))
    with pytest.raises(ValueError, match="test has 40 rows but its features have 39"):
        made(*sets, (other.train, other.test[1:], other.generated))
    with pytest.raises(ValueError, match="features holds 2 arrays; those of train, test and gen"):
        made(*sets, (other.train, other.test))


@pytest.mark.parametrize("name", TESTS)
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda s: (s[0] * np.nan, s[1], s[2]), r"train row 0 holds nan"),
        (lambda s: (s[0], np.where(np.arange(40)[:, None] == 9, np.inf, s[1]), s[2]),
         r"test row 9 holds inf"),
        (lambda s: (s[0], s[1], s[2][:, :2]), r"generated has 2 values per row, train has 3"),
        (lambda s: (s[0], s[1][:0], s[2]), r"test has shape \(0, 3\); \(rows, \.\.\.\) with at"),
        (lambda s: (s[0], s[1], s[2][:, :0]), r"generated has shape \(50, 0\)"),
        (lambda s: (s[0][:, 0], s[1], s[2]), r"train has shape \(60,\)"),
        (lambda s: (s[0], s[1], s[2].astype(np.uint8)), r"all uint8 or all float is wanted"),
    ],
)  # fmt: skip
def test_bad_sets_are_named(name: str, spoil: Callable[..., Any], said: str, draws: Maker) -> None:
    with pytest.raises(ValueError, match=f"{name}: .*{said}"):
        TESTS[name](*spoil(draws()))


@pytest.mark.parametrize("name", TESTS)
def test_bad_options_are_named(name: str, draws: Maker) -> None:
    run, sets = TESTS[name], draws()
    with pytest.raises(ValueError, match=f"{name}: level is 1.5"):
        run(*sets, level=1.5)
    with pytest.raises(ValueError, match=f"{name}: resamples is 0"):
        run(*sets, resamples=0)
    with pytest.raises(ValueError, match=rf"{name}: duplicates is 'drop'"):
        run(*sets, duplicates="drop")
    with pytest.raises(ValueError, match=rf"{name}: features is 'inception'"):
        run(*sets, features="inception")
    with pytest.raises(ValueError, match="copying: seed is -1"):
        run(*sets, seed=-1)


def test_no_numbers() -> None:
    with pytest.raises(TypeError, match="test: train has elements of type <U1"):
        made(np.array([["a"]]), column(1), column(1))


@pytest.mark.parametrize("name", TESTS)
@pytest.mark.parametrize("rows", [(60, 1, 1), (60, 1, 30), (60, 30, 1), (55, 3, 200)])
def test_few_rows(name: str, rows: tuple[int, int, int], draws: Maker) -> None:
    """One row of a kind, or fewer held-out than generated rows: an answer, or NaN with a note."""
    found = TESTS[name](*draws(5, rows), resamples=20)
    assert found.per_sample.shape == (rows[0] if name == "nearest_ratio" else rows[2],)
    if np.isnan(found.statistic):
        assert found.notes
    else:
        assert 0 <= found.pvalue <= 1
        assert found.ci[0] <= found.ci[1]


@pytest.mark.parametrize("name", TESTS)
def test_all_equal_rows(name: str) -> None:
    """60 equal training rows are one: refused, or answered without a warning."""
    one = np.ones((60, 2))
    if name in ("nearest_ratio", "data_copying"):
        options = {"cells": 1} if name == "data_copying" else {}
        found = TESTS[name](one, one[:30], one[:30], **options)
        assert found.copies == 30
        if name == "nearest_ratio":
            assert found.undefined == 60
            assert np.isnan(found.statistic)
        else:
            assert found.statistic == 0
        return
    with pytest.raises(ValueError, match=r"distinct row|every feature is the same"):
        TESTS[name](one, one[:30], one[:30])
