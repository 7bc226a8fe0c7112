"""How fast are gradient products from factors, against the gradients and against torch's products
of factors? What does symmetry save, and what a screen before the k strongest?"""

import functools
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from backends import usable_backends
from duels import Contender
from equal_threads import THREADS
from genmem.kernels import Factors, LayerFactors, TopInfluences, grad_dot
from genmem.reference.grad_dot import gradients

# The layers of an MLP VAE 784-512-256-(2x32) with m decoder draws: (d, p, tokens).
LAYERS = [
    (784, 512, 1),
    (512, 256, 1),
    (256, 64, 1),
    (32, 256, None),
    (256, 512, None),
    (512, 784, None),
]
GATE = 1e-5  # relative to the product of the norms
CASES = [(128, 1024, 1), (128, 1024, 4), (64, 256, 16)]  # queries, points, draws


def factors(samples: int, draws: int, seed: int) -> Factors:
    rng = np.random.default_rng(seed)
    layers = []
    for number, (d, p, tokens) in enumerate(LAYERS):
        t = tokens or draws
        a = rng.standard_normal((samples * t, d)).astype(np.float32)
        g = rng.standard_normal((samples * t, p)).astype(np.float32)
        layers.append(LayerFactors(f"{number}", a, g, np.arange(samples + 1) * t, True))
    return Factors(tuple(layers))


@functools.cache
def problem(case: tuple[int, int, int]) -> tuple[Factors, Factors, np.ndarray, np.ndarray]:
    """Factors, the float64 truth for 8 queries and 32 points, and the products of norms there."""
    m, n, draws = case
    q, x = factors(m, draws, 0), factors(n, draws, 1)
    a = [gradients(layer) for layer in q.samples(0, 8).layers]
    b = [gradients(layer) for layer in x.samples(0, 32).layers]
    norms = np.outer(np.sqrt(sum((g**2).sum(1) for g in a)), np.sqrt(sum((g**2).sum(1) for g in b)))
    return q, x, sum(g @ h.T for g, h in zip(a, b, strict=True)), norms


def torch_factors(q: Factors, x: Factors) -> Callable[[], np.ndarray]:
    """Token products of every layer in full, then a sum over the tokens of each pair."""
    import torch

    pairs = [
        (
            *(torch.from_numpy(v) for v in (lq.inputs, lq.gradients, lx.inputs, lx.gradients)),
            len(lq.inputs) // len(q),
        )
        for lq, lx in zip(q.layers, x.layers, strict=True)
    ]

    def run() -> np.ndarray:
        out = torch.zeros(len(q), len(x))
        for aq, gq, ax, gx, t in pairs:
            products = (aq @ ax.T).add_(1).mul_(gq @ gx.T)
            out += products.view(len(q), t, len(x), t).sum((1, 3))
        return out.numpy()

    return run


def torch_gradients(q: Factors, x: Factors) -> Callable[[], np.ndarray]:
    """The gradients of every sample formed, then one product per layer."""
    import torch

    def formed(layer: LayerFactors, samples: int) -> "torch.Tensor":
        a = torch.from_numpy(layer.inputs).view(samples, -1, layer.inputs.shape[1])
        g = torch.from_numpy(layer.gradients).view(samples, -1, layer.gradients.shape[1])
        a = torch.cat([a, torch.ones(*a.shape[:2], 1)], 2)
        return torch.einsum("ntp,ntd->npd", g, a).flatten(1)

    def run() -> np.ndarray:
        out = torch.zeros(len(q), len(x))
        for lq, lx in zip(q.layers, x.layers, strict=True):
            left = formed(lq, len(q))
            for start in range(0, len(x), 128):
                part = x.samples(start, min(start + 128, len(x))).layers[int(lx.name)]
                out[:, start : start + 128] += left @ formed(part, min(128, len(x) - start)).T
        return out.numpy()

    return run


RIVALS = {"torch factors": torch_factors, "torch per-sample gradients": torch_gradients}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_grad_dot(duel: Callable[..., None], case: tuple[int, int, int]) -> None:
    q, x, truth, norms = problem(case)

    def check(products: np.ndarray) -> tuple[float, str]:
        return float((np.abs(products[:8, :32] - truth) / norms).max()), ""

    def ours(backend: str) -> Contender:
        run = partial(grad_dot, q, x, threads=THREADS[0], backend=backend)
        return Contender(backend, run, check, GATE)

    m, n, draws = case
    mine = [ours(backend) for backend in usable_backends()]
    others = [Contender(name, make(q, x), check, GATE) for name, make in RIVALS.items()]
    duel("grad_dot", f"MLP VAE m={draws} Q={m} N={n}", THREADS[0], mine, others)


def test_symmetric(duel: Callable[..., None]) -> None:
    """Train x train: half of the tiles, mirrored."""
    x = factors(2048, 4, 1)
    truth, norms = square(x.samples(0, 32))

    def check(products: np.ndarray) -> tuple[float, str]:
        return float((np.abs(products[:32, :32] - truth) / norms).max()), ""

    def ours(backend: str, symmetric: bool, target: dict[str, float]) -> Contender:
        run = partial(grad_dot, x, x, symmetric=symmetric, threads=THREADS[0], backend=backend)
        name = backend if symmetric else f"{backend} rectangular"
        return Contender(name, run, check, GATE, target=target)

    auto = usable_backends()[0]
    whole = ours(auto, False, {auto: 1.8})
    duel(
        "grad_dot train x train", "MLP VAE m=4 N=2048", THREADS[0], [ours(auto, True, {})], [whole]
    )


def square(x: Factors) -> tuple[np.ndarray, np.ndarray]:
    """All products in float64, and the products of the norms."""
    formed = [gradients(layer) for layer in x.layers]
    size = np.sqrt(sum((g**2).sum(1) for g in formed))
    return sum(g @ g.T for g in formed), np.outer(size, size)


def test_top(duel: Callable[..., None]) -> None:
    """The k strongest: of products in float32, or screened in bfloat16 and computed in float64.

    These factors are in disorder, so the screen lets all pairs through and is given up: its worst
    case. Of a trained VAE it lets 17 of 4,096 through, and takes 0.6 of the time.
    """
    q, x = factors(128, 4, 0), factors(4096, 4, 1)
    sure = grad_dot(q, x, k=10, screen=True).indices

    def check(top: TopInfluences) -> tuple[float, str]:
        return float((top.indices != sure).mean()), ""

    def ours(backend: str, screen: bool) -> Contender:
        run = partial(grad_dot, q, x, k=10, screen=screen, threads=THREADS[0], backend=backend)
        return Contender(backend if screen else f"{backend} unscreened", run, check, 1e-3)

    auto = usable_backends()[0]
    others = [ours(auto, False)]
    duel("grad_dot k=10", "MLP VAE m=4 Q=128 N=4096", THREADS[0], [ours(auto, True)], others)
