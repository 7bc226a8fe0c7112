"""The C++ builds that the chosen tests look at."""

from collections.abc import Iterator

import pytest

from native_builds import Builds


@pytest.fixture(scope="session")
def builds(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Builds]:
    """Builds of all values that `variant` takes in this session, in the making."""
    calls = (getattr(item, "callspec", None) for item in request.session.items)
    names = {call.params["variant"] for call in calls if call and "variant" in call.params}
    made = Builds(tmp_path_factory.mktemp("builds"), names)
    yield made
    made.close()
