"""Fixtures that every room uses."""

import hypothesis
import numpy as np
import pytest

from genmem import _core

hypothesis.settings.register_profile("genmem", deadline=None, max_examples=50, derandomize=True)
hypothesis.settings.load_profile("genmem")

BACKENDS = list(_core.backend_states())
CARDS = [name for name, why in _core.card_states().items() if not why]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`backend`: every one of the processor; with the mark `card`, every usable card too.

    A block of threads is slow on the emulated card: card(when=...) keeps to the parameters for
    which that function of them is true.
    """
    if "backend" in metafunc.fixturenames:
        card = metafunc.definition.get_closest_marker("card")
        metafunc.parametrize("backend", BACKENDS + (CARDS if card else []), indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if not _too_slow(item)]


def _too_slow(item: pytest.Item) -> bool:
    call, card = getattr(item, "callspec", None), item.get_closest_marker("card")
    if call is None or card is None or call.params.get("backend") != "cuda-emulated":
        return False
    when = card.kwargs.get("when")
    return when is not None and not when(call.params)


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> str:
    """Every backend of this build that this machine runs."""
    why = (_core.backend_states() | _core.card_states())[request.param]
    if why:
        pytest.skip(f"{request.param}: {why}")
    return str(request.param)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20211206)
