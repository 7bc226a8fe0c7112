"""Factors of parts of a block, put together."""

from __future__ import annotations

import numpy as np
import pytest

from genmem.influence.stores.blocks import joined
from genmem.kernels import Factors, LayerFactors


def part(rng: np.random.Generator, tokens: list[int], name: str = "linear") -> Factors:
    """One layer whose sample i has tokens[i] tokens."""
    offsets = np.concatenate([[0], np.cumsum(tokens)])
    a, g = rng.standard_normal((sum(tokens), 3)), rng.standard_normal((sum(tokens), 2))
    return Factors((LayerFactors(name, a, g, offsets, True),))


# The first part tells how much room is made: others have less, as much, more, none.
@pytest.mark.parametrize(
    "parts",
    [
        [[2, 2], [2, 2], [2]],
        [[1, 1], [3, 2], [4]],
        [[5], [1, 0]],
        [[0, 0], [3], [0]],
        [[3, 1, 2]],
    ],
)
def test_parts_of_any_token_counts(parts: list[list[int]], rng: np.random.Generator) -> None:
    made = [part(rng, tokens) for tokens in parts]
    (layer,) = joined(iter(made), sum(map(len, parts))).layers
    for got, each in (
        (layer.inputs, [p.layers[0].inputs for p in made]),
        (layer.gradients, [p.layers[0].gradients for p in made]),
    ):
        np.testing.assert_array_equal(got, np.concatenate(each))
        assert not any(np.shares_memory(got, one) for one in each)
    counts = [count for tokens in parts for count in tokens]
    assert layer.offsets.tolist() == [0, *np.cumsum(counts)]
    assert layer.bias


def test_parts_of_other_layers_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="layer other cannot be joined to layer linear"):
        joined([part(rng, [1]), part(rng, [1], "other")], 2)
    two = Factors((*part(rng, [1]).layers, *part(rng, [1], "other").layers))
    with pytest.raises(ValueError, match="zip"):
        joined([part(rng, [1]), two], 2)
