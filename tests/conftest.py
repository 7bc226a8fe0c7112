"""Fixtures that every room uses."""

import hypothesis
import numpy as np
import pytest

from genmem import _core

hypothesis.settings.register_profile("genmem", deadline=None, max_examples=50, derandomize=True)
hypothesis.settings.load_profile("genmem")

BACKENDS = list(_core.backend_states())


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Every backend of this build that this machine runs."""
    why = _core.backend_states()[request.param]
    if why:
        pytest.skip(f"{request.param}: {why}")
    return str(request.param)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20211206)
