"""Small sets for the copying tests: fresh draws of one law, copies planted on request."""

import numpy as np
import pytest

from draws import Draws, Maker


@pytest.fixture
def draws() -> Maker:
    """draws(seed=0, rows=(60, 40, 50), dim=3, copies=0, near=0.0): the first `copies` generated
    rows repeat as many training rows, moved by normal noise of deviation `near`."""

    def make(
        seed: int = 0,
        rows: tuple[int, int, int] = (60, 40, 50),
        dim: int = 3,
        copies: int = 0,
        near: float = 0.0,
    ) -> Draws:
        random = np.random.default_rng([20200810, seed])
        train, test, generated = (random.standard_normal((count, dim)) for count in rows)
        noise = near * random.standard_normal((copies, dim))
        generated[:copies] = train[:copies] + noise
        return Draws(train, test, generated)

    return make
