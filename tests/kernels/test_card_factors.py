"""Factors that lie on a card: products of them, on the host and where they are."""

from typing import Any

import numpy as np
import pytest

from emulated_arrays import CARD, OnCard
from factor_sets import factors
from genmem import _core, kernels
from genmem.errors import BackendError
from genmem.kernels import Factors
from genmem.kernels.factors import Sides

SHAPES = [(3, 20, 7, True), (2, 5, 40, False), (1, 9, 1, False)]


def on_card(of: Factors, parts: tuple[str, ...] = ("inputs", "gradients")) -> Factors:
    """The same; the parts named, on the card."""
    return Factors(
        tuple(
            layer._replace(**{part: OnCard(np.asarray(getattr(layer, part))) for part in parts})
            for layer in of.layers
        )
    )


@pytest.fixture
def both(rng: np.random.Generator) -> tuple[Factors, Factors]:
    q, x = (factors(rng, n, SHAPES, ragged=True, dtype=np.float32) for n in (9, 31))
    return q, x


def brought(found: Any) -> np.ndarray:
    return np.asarray(found)


@pytest.mark.parametrize("parts", [("inputs",), ("gradients",), ("inputs", "gradients")], ids=str)
def test_products(both: tuple[Factors, Factors], parts: tuple[str, ...]) -> None:
    q, x = both
    want = kernels.grad_dot(q, x, backend=CARD)
    for queries, points in [(on_card(q, parts), on_card(x, parts)), (on_card(q, parts), x)]:
        got = kernels.grad_dot(queries, points, backend=CARD)
        assert isinstance(got, _core.CardArray)
        assert got.dtype == want.dtype
        assert (brought(got) == want).all()
    # Beside queries of the host the answer is NumPy's.
    assert (kernels.grad_dot(q, on_card(x, parts), backend=CARD) == want).all()


@pytest.mark.parametrize("tol", [None, 1e-3, 0.05])
def test_symmetric_and_to_a_tolerance(both: tuple[Factors, Factors], tol: float | None) -> None:
    _, x = both
    there = on_card(x)
    want = kernels.grad_dot(x, x, symmetric=True, tol=tol, backend=CARD)
    got = brought(kernels.grad_dot(there, there, symmetric=True, tol=tol, backend=CARD))
    assert (got == want).all()
    cosines = brought(kernels.grad_dot(there, there, cosine=True, tol=tol, backend=CARD))
    assert np.abs(cosines - kernels.grad_dot(x, x, cosine=True)).max() <= (tol or 1e-5)


def test_products_that_no_number_of_parts_proves(rng: np.random.Generator) -> None:
    """Tokens that cancel: what is left is far below their sizes, and computed in float64."""
    x = factors(rng, 12, [(1, 30, 8, False)], dtype=np.float32)
    layer = x.layers[0]
    tokens = [np.repeat(np.asarray(part), 2, axis=0) for part in (layer.inputs, layer.gradients)]
    tokens[1][1::2] *= np.float32(-1 + 1e-6)
    q = Factors((layer._replace(inputs=tokens[0], gradients=tokens[1], offsets=2 * layer.offsets),))
    want = kernels.grad_dot(q, x, tol=1e-3, backend=CARD)
    assert (brought(kernels.grad_dot(on_card(q), on_card(x), tol=1e-3, backend=CARD)) == want).all()
    own, there = kernels.grad_dot(q, q, symmetric=True, tol=1e-3, backend=CARD), on_card(q)
    got = kernels.grad_dot(there, there, symmetric=True, tol=1e-3, backend=CARD)
    assert (brought(got) == own).all()
    assert (own != 0).all()


def test_parts(both: tuple[Factors, Factors]) -> None:
    q, x = both
    want = kernels.grad_dot(q, x, parts=[0, 1, 0], backend=CARD)
    got = kernels.grad_dot(on_card(q), on_card(x), parts=[0, 1, 0], backend=CARD)
    assert (brought(got) == want).all()


@pytest.mark.parametrize("screen", [True, False])
def test_the_strongest(both: tuple[Factors, Factors], screen: bool) -> None:
    q, x = both
    want = kernels.grad_dot(q, x, k=4, screen=screen, backend=CARD)
    got = kernels.grad_dot(on_card(q), on_card(x), k=4, screen=screen, backend=CARD)
    assert isinstance(got.indices, _core.CardArray)
    assert (brought(got.indices) == want.indices).all()
    assert (brought(got.scores) == want.scores).all()


def test_doors_that_answer_on_the_host(both: tuple[Factors, Factors]) -> None:
    q, x = both
    there, others = on_card(q), on_card(x)
    want = kernels.grad_products(q, x, backend=CARD)
    assert (kernels.grad_products(there, others, backend=CARD) == want).all()
    own = kernels.grad_dot_diagonal(q, q, backend=CARD)
    assert (kernels.grad_dot_diagonal(there, there, backend=CARD) == own).all()
    sketches = [kernels.sketch(side, 64, backend=CARD) for side in (there, others)]
    assert (sketches[0] == kernels.sketch(q, 64, backend=CARD)).all()
    found = kernels.retrieve(there, others, *sketches, 3, backend=CARD)
    assert (found.indices == kernels.retrieve(q, x, *sketches, 3).indices).all()


class Sliced(OnCard):
    """One of which parts can be taken, and that comes to the host when it is asked to."""

    def __getitem__(self, rows: slice) -> "Sliced":
        return Sliced(self.array[rows])

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        return self.array.copy()


def test_samples_and_the_way_back(both: tuple[Factors, Factors]) -> None:
    q, x = both
    there = Factors(
        tuple(
            layer._replace(inputs=Sliced(layer.inputs), gradients=Sliced(layer.gradients))
            for layer in x.layers
        )
    )
    got = kernels.grad_dot(on_card(q), there.samples(5, 20), backend=CARD)
    assert (brought(got) == kernels.grad_dot(q, x.samples(5, 20), backend=CARD)).all()
    for layer, other in zip(there.on_host().layers, x.layers, strict=True):
        assert isinstance(layer.inputs, np.ndarray)
        assert (layer.inputs == other.inputs).all()
        assert (layer.gradients == other.gradients).all()
    found, want = kernels.compress(there, 1e-3), kernels.compress(x, 1e-3)
    for layer, other in zip(found.factors.layers, want.factors.layers, strict=True):
        assert (np.asarray(layer.inputs) == other.inputs).all()


def test_factors_are_looked_at_unless_told_not_to(
    both: tuple[Factors, Factors], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    strange = _core.strange

    def watched(*arguments: Any) -> bool:
        looked.append(1)
        return strange(*arguments)

    monkeypatch.setattr(_core, "strange", watched)
    q, x = (on_card(side) for side in both)
    kernels.grad_dot(q, x, backend=CARD, assume_finite=True)
    assert not looked
    kernels.grad_dot(q, x, backend=CARD)
    assert looked


@pytest.mark.parametrize("part", ["inputs", "gradients"])
def test_what_is_not_finite_is_named(both: tuple[Factors, Factors], part: str) -> None:
    q, x = both
    bad = np.asarray(getattr(x.layers[1], part)).copy()
    bad[3, 0] = np.nan
    layers = (x.layers[0], x.layers[1]._replace(**{part: bad}), x.layers[2])
    with pytest.raises(ValueError, match=f"points: {part} of layer 1 row 3 holds nan"):
        kernels.grad_dot(on_card(q), on_card(Factors(layers)), backend=CARD)


def test_a_backend_of_the_processor_is_refused(both: tuple[Factors, Factors]) -> None:
    q, x = both
    with pytest.raises(BackendError, match="reads arrays on the CPU"):
        Sides.read("grad_dot", on_card(q), x, "serial", None)
