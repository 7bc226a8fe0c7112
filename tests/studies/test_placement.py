"""An audit on a card: its models are trained, scored and traced there, whoever its workers are."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genmem.datasets import load
from genmem.errors import RunMismatchError
from genmem.ledger import read_identity
from genmem.studies import audit
from pretend_card import pretended_card

DIGITS = load("digits", limit=40)


class Here(Executor):
    """Runs what it is given at once: a pretended card is one of this thread."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(work(*args, **kwargs))
        return future


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
def test_an_audit_of_a_card(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    audit(DIGITS, here, "smoke", threads=1, executor=Here(), device="cpu")
    assert "device" not in (here / "recipe.toml").read_text()
    with pretended_card():
        audit(DIGITS, there, "smoke", threads=1, executor=Here())
        audit(DIGITS, here, "smoke", threads=1, executor=Here())  # goes on where it was begun
        with pytest.raises(RunMismatchError, match="device: 'cpu' there, 'cuda' now"):
            audit(DIGITS, here, "smoke", threads=1, executor=Here(), device="cuda")
    recipes = sorted(path.name for path in (there / "models").iterdir())
    made = [there / part / name for part in ("models", "memorization") for name in recipes]
    assert len(made) >= 4
    assert {read_identity(path)["device"] for path in [there, *made]} == {"cuda"}
    for name in ("memorization", "self_influence", "attributes", "generated_influence"):
        ours, theirs = (pd.read_parquet(out / f"scores/{name}.parquet") for out in (here, there))
        assert list(ours) == list(theirs)
        for column in ("score", "self_influence", "log_p", "kl", "influence"):
            if column in ours:
                np.testing.assert_allclose(theirs[column], ours[column], rtol=1e-4, atol=1e-4)
