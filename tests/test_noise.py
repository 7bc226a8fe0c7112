"""Philox against its published vectors; noise that depends on its key and on nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from genmem import noise


@pytest.mark.parametrize(
    ("counter", "key", "want"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        (
            (0xFFFFFFFF,) * 4,
            (0xFFFFFFFF, 0xFFFFFFFF),
            (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
        ),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_known_answers(counter: tuple, key: tuple, want: tuple) -> None:
    """Vectors of the generator's authors (Random123, philox4x32 with 10 rounds)."""
    words = noise.philox([np.array([c], np.uint64) for c in counter], key)
    assert tuple(int(w[0]) for w in words) == want


@given(
    samples=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=9),
    draws=st.lists(st.integers(0, 1000), min_size=1, max_size=5),
    dim=st.integers(1, 11),
    seed=st.integers(-5, 2**40),
)
def test_a_value_depends_on_its_key_alone(
    samples: list[int], draws: list[int], dim: int, seed: int
) -> None:
    whole = noise.normals(seed, samples, draws, dim, stream="test")
    assert whole.shape == (len(samples), len(draws), dim)
    for i, sample in enumerate(samples):
        for j, draw in enumerate(draws):
            alone = noise.normals(seed, [sample], [draw], dim, stream="test")
            assert (alone[0, 0] == whole[i, j]).all()


def test_a_wider_draw_starts_with_the_narrower_one() -> None:
    wide = noise.uniforms(3, [5], [7], 10, stream="a")
    assert (noise.uniforms(3, [5], [7], 6, stream="a") == wide[..., :6]).all()


def test_blocks_do_not_show() -> None:
    """More counters than one block: the same as asked for sample by sample."""
    whole = noise.uniforms(0, np.arange(300), np.arange(70), 4, stream="a")
    assert (whole[299:] == noise.uniforms(0, [299], np.arange(70), 4, stream="a")).all()


@pytest.mark.parametrize("changed", ["seed", "stream", "sample", "draw"])
def test_other_keys_are_independent(changed: str) -> None:
    base = {"seed": 1, "samples": np.arange(2000), "draws": [0], "stream": "a"}
    other = {
        "seed": {"seed": 2},
        "stream": {"stream": "b"},
        "sample": {"samples": np.arange(2000, 4000)},
        "draw": {"draws": [1]},
    }[changed]
    a = noise.normals(dim=8, **base).ravel()
    b = noise.normals(dim=8, **{**base, **other}).ravel()
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(len(a))


def test_distributions() -> None:
    z = noise.normals(11, np.arange(5000), np.arange(4), 5, stream="test").ravel()
    u = noise.uniforms(11, np.arange(5000), np.arange(4), 5, stream="test").ravel()
    assert stats.kstest(z.astype(np.float64), "norm").pvalue > 1e-3
    assert stats.kstest(u, "uniform").pvalue > 1e-3
    assert 0 < u.min() < u.max() < 1


@pytest.mark.parametrize(
    ("samples", "draws", "dim", "message"),
    [
        ([-1], [0], 1, r"samples lies in -1\.\.-1"),
        ([2**32], [0], 1, "samples lies in 4294967296"),
        ([0.5], [0], 1, "a list of integers"),
        ([0], [[0]], 1, r"draws has shape \(1, 1\)"),
        ([0], [0], 0, "dim is 0"),
    ],
)
def test_refuses(samples: list, draws: list, dim: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        noise.uniforms(0, samples, draws, dim, stream="test")
