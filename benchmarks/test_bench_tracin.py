"""How long does influence take end to end, from samples to scores, at one checkpoint of a VAE?"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from torch import nn

import peak_memory
import rivals_tracin as rivals
import vae
from backends import usable_backends
from duels import Contender, Row
from equal_threads import THREADS
from genmem import TracIn
from genmem.kernels.native import MEMORY
from growth import LEAST, MOST, exponent

pytestmark = pytest.mark.filterwarnings("ignore")  # of the rivals' own making

GATE = 1e-5  # relative to the product of the norms; of self-influence, relative
AUTO = usable_backends()[0]
# Training samples, test samples. A capture is proven on a few samples first, whatever the number:
# with more of them the proof does not show.
SIZES = {"MLP VAE": (1024, 128), "conv VAE": (256, 64)}
LARGE = {"MLP VAE": (8192, 128), "conv VAE": (2048, 64)}
DRAWS = (1, 4, 16)
CASES = [
    *((kind, draws, n, q) for kind, (n, q) in SIZES.items() for draws in DRAWS),
    *((kind, draws, n, q) for kind, (n, q) in LARGE.items() for draws in (1, 4)),
]

# What meets whom: name: (rival, its self-influence or None, models)
Entry = tuple[Callable[..., rivals.Run], Callable[..., rivals.Run] | None, tuple[str, ...]]
RIVALS: dict[str, Entry] = {
    "torch factors": (rivals.torch_factors, rivals.torch_factors_self, ("MLP VAE", "conv VAE")),
    "dattri-llm": (rivals.dattri_llm, rivals.dattri_llm_self, ("MLP VAE", "conv VAE")),
    "kronfluence identity": (rivals.kronfluence, rivals.kronfluence_self, ("MLP VAE",)),
    "captum TracInCP": (rivals.captum, rivals.captum_self, ("MLP VAE", "conv VAE")),
    "dattri identity": (rivals.dattri, rivals.dattri_self, ("MLP VAE", "conv VAE")),
}
# kernels.md section 6, which has them for the MLP VAE at m = 4
TARGETS = {"dattri-llm": 5.0, "captum TracInCP": 50.0, "dattri identity": 500.0}
PASSES = {AUTO: 1 / 1.5}


def entered(name: str, kind: str, draws: int, threads: int, n: int) -> bool:
    """Whether a rival takes part."""
    if kind not in RIVALS[name][2]:
        return False
    if n > SIZES[kind][0] and name not in ("torch factors", "dattri-llm"):
        return False  # minutes
    if name == "dattri-llm" and kind == "conv VAE" and draws > 1:
        return False  # it takes the draws, which are more rows to a convolution, for samples
    if name == "dattri identity" and draws != 4:
        return False  # ten seconds, whatever the draws
    return threads == 1 or name in ("torch factors", "dattri-llm")


def traced(model: nn.Module, threads: int, **settings: int) -> TracIn:
    return TracIn(
        [model.state_dict()], vae.loss, model=model, weights=[1.0], threads=threads, **settings
    )


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize(("kind", "draws", "n", "q"), CASES)
def test_tracin(
    duel: Callable[..., None], kind: str, draws: int, n: int, q: int, threads: int
) -> None:
    if threads > 1 and (kind != "MLP VAE" or draws != 4 or n > 1024):
        pytest.skip("one thread tells it")
    model, train, test = vae.problem(kind, n, q, draws)
    oracle = vae.Oracle(model, train, test)

    def check(products: np.ndarray) -> tuple[float, str]:
        assert products.shape[0] == q
        return oracle.error(products), ""

    tracin = traced(model, threads)
    mine = [Contender(AUTO, partial(tracin.influence, test, train), check, GATE)]
    others = []
    for name, (rival, _, _) in RIVALS.items():
        if not entered(name, kind, draws, threads, n):
            continue
        # dattri goes through the tests again for each batch of training samples: one batch tells.
        some = 32 if name == "dattri identity" else n
        wanted = TARGETS.get(name) if kind == "MLP VAE" and draws == 4 else None
        others.append(
            Contender(
                *(name, rival(model, vae.first(train, some), test), check, GATE, some / n),
                {AUTO: wanted} if wanted else {},
            )
        )
    duel("TracIn", f"{kind} m={draws} N={n:,} Q={q}", threads, mine, others)


@pytest.mark.parametrize(("kind", "draws", "n", "q"), CASES)
def test_self_influence(duel: Callable[..., None], kind: str, draws: int, n: int, q: int) -> None:
    """The yardstick is one forward and one backward pass of the same samples and draws."""
    model, train, test = vae.problem(kind, n, q, draws)
    oracle = vae.Oracle(model, train, test)

    def check(scores: np.ndarray) -> tuple[float, str]:
        return oracle.self_error(scores), ""

    tracin = traced(model, THREADS[0])
    mine = [Contender(AUTO, partial(tracin.self_influence, train), check, GATE)]
    others = [Contender("forward + backward", rivals.passes(model, train), target=PASSES)]
    for name, (_, rival, _) in RIVALS.items():
        slow = name != "torch factors" and (draws != 4 or n > SIZES[kind][0])
        if slow or rival is None or not entered(name, kind, draws, 1, n):
            continue
        some = 32 if name == "dattri identity" else n
        others.append(Contender(name, rival(model, vae.first(train, some)), check, GATE, some / n))
    duel("self-influence", f"{kind} m={draws} N={n:,}", THREADS[0], mine, others)


GROWTH = {
    "N": [(n, 128) for n in (512, 1024, 2048, 4096)],
    "Q": [(1024, q) for q in (128, 256, 512, 1024)],
}


@pytest.mark.parametrize("axis", GROWTH)
def test_tracin_growth(
    put: Callable[[Row], None], request: pytest.FixtureRequest, axis: str
) -> None:
    """Time is at most linear in N and Q."""
    runs = []
    for n, q in GROWTH[axis]:
        model, train, test = vae.problem("MLP VAE", n, q, 4)
        runs.append(partial(traced(model, 1).influence, test, train))
    sizes = [n if axis == "N" else q for n, q in GROWTH[axis]]
    slope, seconds = exponent(sizes, runs, request.config.getoption("--cpu-clock"))
    shape = f"MLP VAE m=4, {sizes[0]:,} to {sizes[-1]:,}"
    row = Row(f"TracIn growth in {axis}", shape, AUTO, 1, seconds[-1])
    row.notes = f"exponent {slope:.2f}"
    put(row)
    assert LEAST <= slope <= MOST


_SETUP = """
import sys
sys.path.insert(0, {here!r})
import torch
import vae
from test_bench_tracin import traced
n, q = {n}, {q}
model = vae.MLP().eval()
train = torch.rand(n, 784), torch.randn(n, 4, vae.LATENT)
test = torch.rand(q, 784), torch.randn(q, 4, vae.LATENT)
tracin = traced(model, 2, memory={memory})
"""


@pytest.mark.parametrize("memory", [128, MEMORY // peak_memory.MIB, 1024])
def test_tracin_memory(put: Callable[[Row], None], memory: int) -> None:
    """Memory is bounded by the budget, the default of 192 MiB or another, whatever N and Q."""
    n, q = 8192, 512
    added, outputs = peak_memory.added(
        _SETUP.format(here=peak_memory.HERE, n=n, q=q, memory=memory * peak_memory.MIB),
        "tracin.influence(vae.first(test, 64), vae.first(train, 64))",
        "tracin.influence(test, train)",
    )
    notes = f"budget {memory} MiB; {peak_memory.said(added, outputs)}"
    put(Row("TracIn memory", f"MLP VAE m=4 N={n:,} Q={q}", "auto", 2, None, notes=notes))
    assert added <= outputs + max(peak_memory.ALLOWED, memory * peak_memory.MIB)
