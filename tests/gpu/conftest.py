"""Tests that need a card; where there is none, each is skipped and says why."""

from pathlib import Path

import pytest

from genmem import _core

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.gpu)


@pytest.fixture(autouse=True)
def card() -> None:
    why = _core.card_states()["cuda"]
    if why:
        pytest.skip(f"cuda: {why}")
