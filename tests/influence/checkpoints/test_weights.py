"""Checkpoint weights: the three named ones, sequences, callables, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from genmem.influence.checkpoints.weights import checkpoint_weights

CHECKPOINTS = [
    SimpleNamespace(lr=0.1, steps_since_previous=30, batch=16, rows=80),
    SimpleNamespace(lr=0.02, steps_since_previous=5, batch=16, rows=80),
]


def test_named_weights() -> None:
    for name, want in (
        ("lr", [0.1, 0.02]),
        ("lr_steps", [0.1 * 30 * 16 / 80, 0.02 * 5 * 16 / 80]),
        ("nats", [0.1 * 30 / 80, 0.02 * 5 / 80]),
    ):
        got = checkpoint_weights(name, CHECKPOINTS)
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, want, rtol=1e-15)


def test_sequences_and_callables() -> None:
    np.testing.assert_array_equal(checkpoint_weights((1, 0), CHECKPOINTS), [1, 0])
    np.testing.assert_array_equal(checkpoint_weights(np.array([2.0, 3.0]), CHECKPOINTS), [2, 3])
    got = checkpoint_weights(lambda c: c.lr * 2, CHECKPOINTS)
    np.testing.assert_allclose(got, [0.2, 0.04])


def test_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="weights has 1 entries; 2 are wanted"):
        checkpoint_weights([1.0], CHECKPOINTS)
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=rf"weight of checkpoint 1 is {bad}; a finite"):
            checkpoint_weights([1.0, bad], CHECKPOINTS)
    with pytest.raises(ValueError, match="every checkpoint is 0"):
        checkpoint_weights([0.0, 0.0], CHECKPOINTS)
    with pytest.raises(ValueError, match="weights is 'epochs'; one of lr, lr_steps, nats"):
        checkpoint_weights("epochs", CHECKPOINTS)
    with pytest.raises(ValueError, match=r"checkpoint 0 has no 'batch', which weights='lr_steps'"):
        checkpoint_weights("lr_steps", [SimpleNamespace(lr=1.0, steps_since_previous=1, rows=3)])
    with pytest.raises(ValueError, match="checkpoint 0 has no 'lr'"):
        checkpoint_weights("lr", [{}])
