"""How fast are exact neighbours, and how exact are the fast ones? (a copy must be at 0)"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import avx2_machine
import genmem
import peak_memory
import rivals_knn as rivals
from backends import usable_backends
from duels import Contender, Row, reranked
from equal_threads import THREADS
from growth import LEAST, MOST, SIZES, exponent, series
from problems import CHECKED, Problem, gaussian, images

K = 10
GATE = 1e-4  # distance; pixels are in [0, 1] or 0..255

pytestmark = pytest.mark.filterwarnings("ignore")  # of the rivals' own making

FAISS_MANY = {"amx": 5.0, "avx512": 1.2, "avx2": 1.2}  # kernels.md section 6
FAISS_FEW = {"amx": 1.0, "avx512": 1.0, "avx2": 1.0}

# What meets whom: name: (rival, queries it is given at most, most threads, target)
Entry = tuple[Callable[..., rivals.Run], int, int, dict[str, float]]
MANY: dict[str, Entry] = {
    "faiss-cpu knn": (rivals.faiss_knn, 10_000, 64, FAISS_MANY),
    "scikit-learn default": (rivals.sklearn_default, 10_000, 64, {}),
    "scikit-learn one leaf": (rivals.sklearn_one_leaf, 6, 1, {}),
    "scipy cdist": (rivals.scipy_cdist, 3, 1, {}),
    "torch mm + topk": (rivals.torch_product, 10_000, 64, {}),
    "torch cdist + topk": (rivals.torch_cdist, 256, 64, {}),
    "pykeops": (rivals.pykeops, 15, 64, {}),
    "usearch exact": (rivals.usearch, 50, 64, {}),
}
FEW: dict[str, Entry] = {
    "faiss-cpu knn": (rivals.faiss_knn, 10_000, 64, FAISS_FEW),
    "faiss-cpu knn by product": (rivals.faiss_product, 10_000, 64, FAISS_FEW),
    "scikit-learn default": (rivals.sklearn_default, 10_000, 64, {}),
    "torch mm + topk": (rivals.torch_product, 10_000, 64, {}),
    "usearch exact": (rivals.usearch, 10_000, 64, {}),
}
# 1,000 queries of 64 features are few to faiss: without being told it takes differences.
NARROW: dict[str, Entry] = MANY | {
    "faiss-cpu knn by product": (rivals.faiss_product, 10_000, 64, FAISS_MANY)
}
OFFSET: dict[str, Entry] = {
    "faiss-cpu knn": (rivals.faiss_knn, 10_000, 64, {"amx": 5.0}),
    "torch mm + topk": (rivals.torch_product, 256, 64, {}),
}
BYTES = {name: MANY[name] for name in ("faiss-cpu knn",)}
BYTES_FEW = {name: FEW[name] for name in ("faiss-cpu knn",)}
PLANE: dict[str, Entry] = {
    "faiss-cpu knn": (rivals.faiss_knn, 10_000, 64, {}),
    "scikit-learn default": (rivals.sklearn_default, 10_000, 64, {}),
    "scipy cKDTree": (rivals.scipy_tree, 10_000, 64, {}),
    "torch mm + topk": (rivals.torch_product, 10_000, 64, {}),
    "pykeops": (rivals.pykeops, 10_000, 64, {}),
}
# problem, M, rivals, most threads
CASES = {
    "mnist-1000": (images, 1000, MANY, 64),
    "mnist-64": (images, 64, FEW, 64),
    "mnist-1": (images, 1, FEW, 64),
    "bytes-1000": (partial(images, "uint8"), 1000, BYTES, 64),
    "bytes-64": (partial(images, "uint8"), 64, BYTES_FEW, 1),
    "bytes-1": (partial(images, "uint8"), 1, BYTES_FEW, 1),
    "mnist-offset-1": (partial(images, "float32", 1.0), 1000, OFFSET, 1),
    "mnist-offset-10": (partial(images, "float32", 10.0), 1000, OFFSET, 1),
    "d64-1000": (partial(gaussian, 64, 1.0), 1000, NARROW, 64),
    "d2-1000": (partial(gaussian, 2, 1.0), 1000, PLANE, 1),
}


def checker(problem: Problem, exact: bool) -> Callable[[rivals.Answer], tuple[float, str]]:
    """(worst distance error, remark); `exact`: indices must be those of float64, copies at 0."""
    order = np.argsort(problem.sq, axis=1, kind="stable")[:, :K]
    truth = np.sqrt(np.take_along_axis(problem.sq, order, axis=1))

    def check(answer: rivals.Answer) -> tuple[float, str]:
        distances, indices = answer[0][:CHECKED], answer[1][:CHECKED]
        rows = len(distances)
        wrong = float((indices != order[:rows]).mean())
        error = float(np.abs(distances.astype(np.float64) - truth[:rows]).max())
        if exact:
            assert wrong == 0, f"{wrong:.1%} of the neighbours differ from float64's"
            assert (distances[truth[:rows] == 0] == 0).all(), "a copy is not at 0"
        return error, f"{wrong:.1%} wrong neighbours" if wrong else ""

    return check


def genmem_knn(problem: Problem, m: int, threads: int, backend: str) -> Contender:
    queries, points = problem.queries[:m], problem.points
    call = partial(
        *(genmem.knn, queries, points, K),
        threads=threads,
        backend=backend,
    )

    def check(answer: rivals.Answer) -> tuple[float, str]:
        error, _ = checker(problem, exact=True)(answer)
        return error, reranked(call(return_stats=True)[1], m)

    return Contender(backend, call, check, GATE)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("case", CASES)
def test_knn(duel: Callable[..., None], case: str, threads: int) -> None:
    make, m, entries, most = CASES[case]
    if threads > most:
        pytest.skip("one thread tells it")
    problem = make()
    offset = case.startswith("mnist-offset")  # changes errors, not times: one backend shows it
    backends = usable_backends()[: 1 if offset else None]
    ours = [genmem_knn(problem, m, threads, backend) for backend in backends]
    others = []
    for name, (rival, at_most, most_threads, target) in entries.items():
        if threads > most_threads:
            continue
        q, x = problem.floats(min(m, at_most))
        others.append(
            Contender(
                *(name, rival(q, x, K, threads), checker(problem, exact=False), GATE),
                *(len(q) / m, target),
            )
        )
    products = m * problem.points.size if m >= 16 and problem.d >= 16 else None
    duel("knn", problem.shape(m), threads, ours, others, products)


def test_knn_serial(duel: Callable[..., None]) -> None:
    """The compiled witness, on a small problem."""
    whole = images()
    problem = Problem(whole.name, whole.queries[:64], np.ascontiguousarray(whole.points[:4000]))
    ours = [genmem_knn(problem, 64, 1, "serial")]
    q, x = problem.floats(64)
    rival = Contender(
        *("faiss-cpu knn", rivals.faiss_knn(q, x, K, 1), checker(problem, exact=False), GATE)
    )
    duel("knn", problem.shape(64), 1, ours, [rival], 64 * problem.points.size)


@pytest.mark.parametrize("backend", usable_backends())
@pytest.mark.parametrize("axis", ["N", "M", "d"])
def test_knn_growth(
    put: Callable[[Row], None], request: pytest.FixtureRequest, axis: str, backend: str
) -> None:
    """Time is linear in N, M and d."""
    runs = [partial(genmem.knn, q, x, K, backend=backend, threads=1) for q, x in series(axis)]
    sizes = SIZES[axis]
    slope, seconds = exponent(sizes, runs, request.config.getoption("--cpu-clock"))
    row = Row(f"knn growth in {axis}", f"{sizes[0]:,} to {sizes[-1]:,}", backend, 1, seconds[-1])
    row.notes = f"exponent {slope:.2f}"
    put(row)
    assert LEAST <= slope <= MOST


def test_knn_avx2_machine(put: Callable[[Row], None], request: pytest.FixtureRequest) -> None:
    """What an AVX2 machine's faiss would take."""
    if "avx2" not in usable_backends():
        pytest.skip("no AVX2 here")
    ours, its = avx2_machine.measured("knn", request.config.getoption("--cpu-clock"))
    row = Row("knn", images().shape(avx2_machine.QUERIES), "avx2", 1, ours)
    row.rival, row.rival_seconds = "faiss-cpu knn held to AVX2", its
    row.notes = f"target 1.2: {'met' if its / ours >= 1.2 else 'MISSED'}"
    put(row)


CALLS = {
    "f32 M=10,000": ("float32", 10_000),
    "f32 M=1,000": ("float32", 1000),
    "u8 M=10,000": ("uint8", 10_000),
}


@pytest.mark.parametrize("call", CALLS)
def test_knn_memory(put: Callable[[Row], None], call: str, tmp_path: Path) -> None:
    """Peak memory is flat in M N: inputs + outputs + 256 MiB hold the call."""
    dtype, m = CALLS[call]
    problem = images(dtype)
    q = np.resize(problem.queries, (m, problem.d))
    added, outputs = peak_memory.extra(
        "kernels.knn(q, x, 10, threads=2)", q, problem.points, tmp_path
    )
    said = (
        f"+{added / peak_memory.MIB:.0f} MiB at the peak, outputs {outputs / peak_memory.MIB:.1f}"
    )
    put(Row("knn memory", f"{problem.shape(m)}", "auto", 2, None, notes=said))
    assert added <= outputs + peak_memory.ALLOWED
