"""Objectives by the names of a recipe."""

from dataclasses import dataclass

import pytest

from genmem.objectives import ELBO, IWAE, OBJECTIVES, BetaELBO, make


@dataclass(frozen=True)
class Bound:
    objective: str
    beta: float = 1.0


def test_every_name_makes_the_objective_of_that_name() -> None:
    assert [make(Bound(name)).name for name in OBJECTIVES] == list(OBJECTIVES)
    assert make(Bound("elbo")) == ELBO()
    assert make(Bound("beta", 3.0)) == BetaELBO(3.0)
    assert make(Bound("iwae")) == IWAE()


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match=r"objective is 'vae'; one of elbo, beta, iwae"):
        make(Bound("vae"))
