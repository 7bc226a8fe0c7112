"""How fast are gradient products once the factors are there, and how near is that to the peak?"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest

import peak_memory
import rivals_tracin as rivals
import vae
from backends import usable_backends
from duels import Contender, Row
from equal_threads import THREADS
from genmem.influence import capture_factors
from genmem.influence.capture.forms import Form
from genmem.kernels import (
    Factors,
    TopInfluences,
    compress,
    compression_bound,
    grad_dot,
    grad_dot_diagonal,
    grad_products,
    top_k,
)
from growth import LEAST, MOST, exponent

pytestmark = pytest.mark.filterwarnings("ignore")  # of the rivals' own making

GATE = 1e-5  # relative to the product of the norms; of self-products, relative
TOL = 1e-3
SIZES = {"MLP VAE": (1024, 128), "conv VAE": (256, 64)}  # training samples, test samples
DRAWS = (1, 4, 16)
AUTO = usable_backends()[0]


@dataclass(frozen=True)
class Case:
    """A model, samples, their factors, and the truth about some of them."""

    model: Any
    train: vae.Samples
    test: vae.Samples
    points: Factors
    queries: Factors
    oracle: vae.Oracle

    def check(self, products: np.ndarray) -> tuple[float, str]:
        return self.oracle.error(products), ""

    @property
    def products(self) -> float:
        """Multiply-adds: T_i T_j (d + p) per pair and layer."""
        return float(
            sum(
                len(q.inputs) * len(x.inputs) * (q.inputs.shape[1] + q.gradients.shape[1])
                for q, x in zip(self.queries.layers, self.points.layers, strict=True)
            )
        )


@functools.lru_cache(maxsize=2)
def case(kind: str, n: int, q: int, draws: int, form: Form = "pairs") -> Case:
    model, train, test = vae.problem(kind, n, q, draws)

    def factors(samples: vae.Samples) -> Factors:
        return capture_factors(model, vae.loss, samples, form=form)

    oracle = vae.Oracle(model, train, test)
    return Case(model, train, test, factors(train), factors(test), oracle)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("draws", DRAWS)
@pytest.mark.parametrize("kind", SIZES)
def test_grad_dot(duel: Callable[..., None], kind: str, draws: int, threads: int) -> None:
    """Test samples against training samples."""
    if threads > 1 and (kind != "MLP VAE" or draws != 4):
        pytest.skip("one thread tells it")
    n, q = SIZES[kind]
    it = case(kind, n, q, draws)

    def ours(backend: str) -> Contender:
        run = partial(grad_dot, it.queries, it.points, threads=threads, backend=backend)
        return Contender(backend, run, it.check, GATE)

    sides = (it.model, it.train, it.test)
    level = dict.fromkeys(usable_backends(), 1.0)  # what they gain over torch stands in every row
    others = [Contender("torch factors", rivals.torch_scores(*sides), it.check, GATE, target=level)]
    if kind == "MLP VAE" or draws == 1:
        others.append(Contender("dattri-llm", rivals.dattri_llm_scores(*sides), it.check, GATE))
    shape = f"{kind} m={draws} N={n:,} Q={q}"
    mine = [ours(backend) for backend in usable_backends()]
    duel("grad_dot", shape, threads, mine, others, it.products)


def test_grad_dot_compressed(duel: Callable[..., None]) -> None:
    """m = 16 with fewer tokens, certified: compression in the time, and once it is done."""
    n, q = SIZES["MLP VAE"]
    whole, kept = case("MLP VAE", n, q, 16), case("MLP VAE", n, q, 16, "tokens")
    one = partial(grad_dot, threads=1)
    queries, points = (compress(side, TOL, threads=1) for side in (kept.queries, kept.points))
    bound = compression_bound(queries, points)[:8, :16] + GATE * whole.oracle.norms

    def certified(products: np.ndarray) -> tuple[float, str]:
        off = np.abs(products[:8, :16] - whole.oracle.products)
        assert (off <= bound).all(), f"{(off / bound).max():.2f} of the certified error"
        left = sum(len(layer.inputs) for layer in points.factors.layers) / n
        before = sum(len(layer.inputs) for layer in kept.points.layers) / n
        share = float((bound / whole.oracle.norms).max())
        remark = f"{left:.1f} of {before:.0f} tokens, certified {share:.0e}"
        return whole.oracle.error(products), remark

    def at_once() -> np.ndarray:
        left, right = (compress(side, TOL, threads=1) for side in (kept.queries, kept.points))
        return one(left.factors, right.factors)

    def twice(products: np.ndarray) -> tuple[float, str]:
        off = np.abs(products[:8, :16] - whole.oracle.products)
        assert (off <= bound + 1.01 * TOL * whole.oracle.norms).all()
        return whole.oracle.error(products), ""

    fewer = partial(one, queries.factors, points.factors)
    mine = [
        Contender(f"{AUTO} tol 1e-3", fewer, certified, 2.1 * TOL),
        Contender(f"{AUTO} tol 1e-3 twice", partial(fewer, tol=TOL), twice, 3.2 * TOL),
        Contender(f"{AUTO} tol 1e-3, compressing", at_once, certified, 2.1 * TOL),
    ]
    stored = rivals.dattri_llm_scores(whole.model, whole.train, whole.test)
    entries = {  # kernels.md section 6
        "genmem, all tokens": (partial(one, kept.queries, kept.points), 4.0),
        "genmem, fewest multiply-adds": (partial(one, whole.queries, whole.points), 4.0),
        "dattri-llm": (stored, 8.0),
    }
    others = [
        Contender(name, run, whole.check, GATE, target={one.name: wanted for one in mine})
        for name, (run, wanted) in entries.items()
    ]
    duel("grad_dot compressed", f"MLP VAE m=16 N={n:,} Q={q}", 1, mine, others)


@pytest.mark.parametrize("draws", DRAWS)
def test_grad_dot_tolerance(duel: Callable[..., None], draws: int) -> None:
    """Every product to a thousandth of the norms, proven: the proof is in the time."""
    n, q = 4 * SIZES["MLP VAE"][0], 4 * SIZES["MLP VAE"][1]
    it = case("MLP VAE", n // (4 if draws == 16 else 1), q // (4 if draws == 16 else 1), draws)
    run = partial(grad_dot, it.queries, it.points, threads=1)
    coarse = [b for b in usable_backends() if b in ("amx", "avx512", "avx2")]
    mine = [Contender(b, partial(run, tol=TOL, backend=b), it.check, TOL) for b in coarse]
    others = [Contender(f"genmem {b}", partial(run, backend=b), it.check, GATE) for b in coarse]
    shape = f"MLP VAE m={draws} N={len(it.points):,} Q={len(it.queries)} tol 1e-3"
    duel("grad_dot", shape, 1, mine, others, it.products)


@pytest.mark.parametrize("backend", usable_backends())
@pytest.mark.parametrize("draws", [1, 4])
def test_grad_dot_symmetric(duel: Callable[..., None], draws: int, backend: str) -> None:
    """Training samples against themselves: half of the work."""
    if draws == 4 and backend != AUTO:
        pytest.skip("one backend tells it")
    n = 4096
    model, train, _ = vae.problem("MLP VAE", n, 8, draws)
    points = capture_factors(model, vae.loss, train)
    oracle = vae.Oracle(model, train, train)

    def check(products: np.ndarray) -> tuple[float, str]:
        return oracle.error(products), ""

    run = partial(grad_dot, points, points, backend=backend, threads=1)
    mine = [Contender(backend, partial(run, symmetric=True), check, GATE)]
    others = [Contender("genmem, rectangular", run, check, GATE, target={backend: 1.8})]
    duel("grad_dot symmetric", f"MLP VAE m={draws} N={n:,}", 1, mine, others)


def test_grad_dot_top(duel: Callable[..., None]) -> None:
    """The k strongest: by a screen in low precision and a proven bound, or out of all products."""
    n, q, k = 4096, 128, 10
    it = case("MLP VAE", n, q, 4)
    some = widened(it.queries.samples(0, 8))
    sides = [grad_dot_diagonal(side, side, threads=1) for side in (some, it.points)]
    exact = top_k(grad_products(some, widened(it.points), threads=1), k)
    scale = np.sqrt(sides[0][:, None] * sides[1][exact.indices])

    def check(top: TopInfluences) -> tuple[float, str]:
        wrong = float((top.indices[:8] != exact.indices).mean())
        off = float((np.abs(top.scores[:8] - exact.scores) / scale).max())
        return off, f"{wrong:.1%} other indices" if wrong else "every index"

    run = partial(grad_dot, it.queries, it.points, k=k, threads=1)
    mine = [Contender(AUTO, partial(run, screen=True), check, GATE)]
    others = [Contender("genmem, no screen", run, check, GATE)]
    duel(f"grad_dot k={k}", f"MLP VAE m=4 N={n:,} Q={q}", 1, mine, others)


def widened(factors: Factors) -> Factors:
    """In float64, so that products are."""
    return Factors(
        tuple(
            layer._replace(
                inputs=np.asarray(layer.inputs, np.float64),
                gradients=np.asarray(layer.gradients, np.float64),
            )
            for layer in factors.layers
        )
    )


@pytest.mark.parametrize("kind", SIZES)
def test_grad_dot_diagonal(duel: Callable[..., None], kind: str) -> None:
    """Each sample with itself, factors given."""
    n, q = SIZES[kind]
    it = case(kind, n, q, 4, "norms")

    def check(scores: np.ndarray) -> tuple[float, str]:
        return it.oracle.self_error(scores), ""

    def ours(backend: str) -> Contender:
        run = partial(grad_dot_diagonal, it.points, it.points, threads=1, backend=backend)
        return Contender(backend, run, check, GATE)

    mine = [ours(backend) for backend in usable_backends()]
    level = dict.fromkeys(usable_backends(), 1.0)
    rival = rivals.torch_self_scores(it.model, it.train)
    others = [Contender("torch factors", rival, check, GATE, target=level)]
    duel("grad_dot diagonal", f"{kind} m=4 N={n:,}", 1, mine, others)


GROWTH = {
    "N": [(n, 128) for n in (512, 1024, 2048, 4096)],
    "Q": [(1024, q) for q in (128, 256, 512, 1024)],
}


@pytest.mark.parametrize("axis", GROWTH)
@pytest.mark.parametrize("backend", usable_backends())
def test_grad_dot_growth(
    put: Callable[[Row], None], request: pytest.FixtureRequest, axis: str, backend: str
) -> None:
    """Time is linear in N and Q."""
    largest = case("MLP VAE", GROWTH[axis][-1][0], GROWTH[axis][-1][1], 4)
    runs = [
        partial(
            *(grad_dot, largest.queries.samples(0, q), largest.points.samples(0, n)),
            backend=backend,
            threads=1,
        )
        for n, q in GROWTH[axis]
    ]
    sizes = [n if axis == "N" else q for n, q in GROWTH[axis]]
    slope, seconds = exponent(sizes, runs, request.config.getoption("--cpu-clock"))
    shape = f"MLP VAE m=4, {sizes[0]:,} to {sizes[-1]:,}"
    row = Row(f"grad_dot growth in {axis}", shape, backend, 1, seconds[-1])
    row.notes = f"exponent {slope:.2f}"
    put(row)
    assert LEAST <= slope <= MOST


_SETUP = """
import numpy as np
from genmem.kernels import Factors, LayerFactors, grad_dot
rng = np.random.default_rng(0)
def factors(n):
    layers = []
    sizes = (784, 512, 1), (512, 256, 1), (256, 64, 1), (32, 256, 4), (256, 512, 4), (512, 784, 4)
    for d, p, t in sizes:
        a, g = (rng.standard_normal((n * t, width), np.float32) for width in (d, p))
        layers.append(LayerFactors(str(len(layers)), a, g, np.arange(n + 1) * t, True))
    return Factors(tuple(layers))
queries, points = factors({q}), factors({n})
"""


@pytest.mark.parametrize("how", ["", "k=10", "k=10, screen=True"])
def test_grad_dot_memory(put: Callable[[Row], None], how: str) -> None:
    """Peak memory is flat in N and Q: inputs + outputs + 256 MiB hold the call."""
    n, q = 8192, 512
    added, outputs = peak_memory.added(
        _SETUP.format(n=n, q=q),
        f"grad_dot(queries.samples(0, 16), points.samples(0, 16), threads=2, {how})",
        f"grad_dot(queries, points, threads=2, {how})",
    )
    notes = peak_memory.said(added, outputs)
    put(Row("grad_dot memory", f"MLP VAE m=4 N={n:,} Q={q} {how}", "auto", 2, None, notes=notes))
    assert added <= outputs + peak_memory.ALLOWED
