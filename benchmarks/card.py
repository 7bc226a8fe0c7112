"""Each operation on a card beside what torch does there: time, share of torch.matmul, error.

    python benchmarks/card.py --results card.md

A rival is the usual way in torch: |x|^2 + |y|^2 - 2xy by a matrix product in float32, with and
without TF32, or torch.cdist, and the epilogue behind it, queries in blocks that fit. Answers are
compared with float64 of the processor for some of the queries before a clock starts: distances in
units of the data, densities in nats. Shares are multiply-adds per second over those of torch.matmul
of the same shape in bfloat16, as what is screened is. All times are of the device
alone, tensors on it already and answers left there, the least of several. Errors of grad_dot are in
units of |g_i| |g_j|, and its share is against six products in bfloat16, as many as it computes, or
three to a tolerance of 1e-3. Of the k strongest the scores are compared; counts within a radius are
off by how many points; gradients of a log-density in units of the largest one.

--backend cuda-emulated tries the script itself, on the processor and a small problem: the times
then mean nothing.
"""

import argparse
import math
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

import genmem
from genmem import _core, kernels
from genmem.arrays import Readable
from genmem.kernels import Factors, LayerFactors
from genmem.kernels.factors import factor_sides

CHECKED = 50  # queries
ROUNDS = 5
BLOCK = 2048  # queries of a rival at a time


class Row(NamedTuple):
    problem: str
    contender: str
    seconds: float
    error: float
    share: float | None


class Problem(NamedTuple):
    name: str
    queries: torch.Tensor
    points: torch.Tensor

    @property
    def products(self) -> float:
        return float(len(self.queries)) * len(self.points) * self.points.shape[1]


def least(run: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest round, the first one left out."""
    best = math.inf
    for number in range(ROUNDS + 1):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        started = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if number:
            best = min(best, time.perf_counter() - started)
    return best


def problems(device: torch.device, small: bool) -> list[Problem]:
    """Copies, near-copies and fresh queries in turn."""
    shapes = [(40, 2500, 40)] if small else [(10_000, 60_000, 784), (10_000, 60_000, 64)]
    made = []
    for m, n, d in shapes:
        rng = np.random.default_rng(d)
        points = rng.standard_normal((n, d)).astype(np.float32)
        queries = rng.standard_normal((m, d)).astype(np.float32)
        queries[::3] = points[rng.integers(0, n, len(queries[::3]))]
        queries[1::3] = queries[::3][: len(queries[1::3])] + np.float32(1e-3)
        name = f"d={d} M={m:,} N={n:,}"
        made.append(
            Problem(name, torch.from_numpy(queries).to(device), torch.from_numpy(points).to(device))
        )
    return made


def expanded(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Squared distances by a matrix product."""
    sq = (x * x).sum(1, keepdim=True) + (y * y).sum(1) - 2 * (x @ y.T)
    return sq.clamp_(min=0)


def in_blocks(queries: torch.Tensor, one: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    return torch.cat([one(queries[i : i + BLOCK]) for i in range(0, len(queries), BLOCK)])


def product_seconds(p: Problem, dtype: torch.dtype) -> float:
    x, y = p.queries.to(dtype), p.points.to(dtype)
    out = torch.empty(min(BLOCK, len(x)), len(y), dtype=dtype, device=x.device)

    def run() -> None:
        for i in range(0, len(x), BLOCK):
            some = x[i : i + BLOCK]
            torch.matmul(some, y.T, out=out[: len(some)])

    return least(run, x.device)


def knn_rows(p: Problem, backend: str) -> list[Row]:
    k = 10
    some, points = p.queries[:CHECKED].cpu().numpy(), p.points.cpu().numpy()
    truth = np.sqrt(kernels.nearest_sq(some, points, k)[0])
    contenders: dict[str, tuple[Callable[[], torch.Tensor], torch.dtype | None]] = {
        f"genmem {backend}": (
            lambda: torch.as_tensor(
                kernels.knn(p.queries, p.points, k, backend=backend, assume_finite=True).distances
            ),
            torch.bfloat16,
        ),
        "torch.cdist, topk": (
            lambda: in_blocks(
                p.queries, lambda x: torch.cdist(x, p.points).topk(k, largest=False).values
            ),
            None,
        ),
        "torch product, topk": (
            lambda: in_blocks(
                p.queries, lambda x: expanded(x, p.points).topk(k, largest=False).values.sqrt()
            ),
            None,
        ),
    }
    return [
        row
        for name, (run, peer) in contenders.items()
        for row in timed(f"knn k={k} {p.name}", p, name, run, truth, peer)
    ]


def log_kde_rows(p: Problem, backend: str) -> list[Row]:
    d, h = p.points.shape[1], 0.5
    some, points = p.queries[:CHECKED].cpu().numpy(), p.points.cpu().numpy()
    truth = kernels.log_kde(some, points, h)
    norm = math.log(len(points)) + d * math.log(h * math.sqrt(2 * math.pi))
    contenders: dict[str, tuple[Callable[[], torch.Tensor], torch.dtype | None]] = {
        f"genmem {backend}": (
            lambda: torch.as_tensor(
                kernels.log_kde(p.queries, p.points, h, backend=backend, assume_finite=True)
            ),
            torch.bfloat16,
        ),
        "torch product, logsumexp": (
            lambda: in_blocks(
                p.queries,
                lambda x: torch.logsumexp(-expanded(x, p.points) / (2 * h * h), 1) - norm,
            ),
            None,
        ),
    }
    return [
        row
        for name, (run, peer) in contenders.items()
        for row in timed(f"log_kde {p.name}", p, name, run, truth, peer)
    ]


def radius_rows(p: Problem, backend: str) -> list[Row]:
    some, points = p.queries[:CHECKED].cpu().numpy(), p.points.cpu().numpy()
    r = float(np.median(kernels.nearest_sq(some, points, 10)[0][:, -1])) ** 0.5
    truth = kernels.radius_counts(some, points, r).astype(np.float64)
    contenders: dict[str, tuple[Callable[[], torch.Tensor], torch.dtype | None]] = {
        f"genmem {backend}": (
            lambda: torch.from_numpy(
                kernels.radius_counts(p.queries, p.points, r, backend=backend)
            ),
            torch.bfloat16,
        ),
        "torch product, count": (
            lambda: in_blocks(p.queries, lambda x: (expanded(x, p.points) <= r * r).sum(1)),
            None,
        ),
    }
    return [
        row
        for name, (run, peer) in contenders.items()
        for row in timed(f"radius_counts {p.name}", p, name, run, truth, peer)
    ]


def gradient_rows(p: Problem, backend: str) -> list[Row]:
    h = 0.5
    some, points = p.queries[:CHECKED].cpu().numpy(), p.points.cpu().numpy()
    truth = kernels.kde_gradient(some, points, h)
    truth, unit = truth / np.abs(truth).max(), float(np.abs(truth).max())

    def by_softmax(x: torch.Tensor) -> torch.Tensor:
        share = torch.softmax(-expanded(x, p.points) / (2 * h * h), 1)
        return (share @ p.points - x) / (h * h * unit)

    contenders: dict[str, tuple[Callable[[], torch.Tensor], torch.dtype | None]] = {
        f"genmem {backend}": (
            lambda: torch.from_numpy(
                kernels.kde_gradient(p.queries, p.points, h, backend=backend) / unit
            ),
            torch.bfloat16,
        ),
        "torch product, softmax": (lambda: in_blocks(p.queries, by_softmax), None),
    }
    return [
        row
        for name, (run, peer) in contenders.items()
        for row in timed(f"kde_gradient {p.name}", p, name, run, truth, peer)
    ]


def timed(
    problem: str,
    p: Problem,
    name: str,
    run: Callable[[], torch.Tensor],
    truth: np.ndarray,
    peer: torch.dtype | None,
) -> list[Row]:
    """One row for ours, whose share is against `peer`; two for a rival: float32 and TF32."""
    rows = []
    for tf32 in (False,) if peer else (False, True):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        error = float(np.abs(run()[: len(truth)].cpu().numpy() - truth).max())
        seconds = least(run, p.points.device)
        share = product_seconds(p, peer) / seconds if peer else None
        rows.append(Row(problem, name + (", TF32" if tf32 else ""), seconds, error, share))
    torch.backends.cuda.matmul.allow_tf32 = False
    return rows


def token_layers(samples: int, small: bool, seed: int) -> Factors:
    """Factors like those of a VAE 784-512-256-(2 x 32) at m = 4: one token, then four."""
    rng = np.random.default_rng(seed)
    widths = [(1, 40, 24), (4, 24, 40)] if small else [(1, 784, 512), (4, 256, 512), (4, 512, 784)]
    layers = []
    for number, (tokens, d, p) in enumerate(widths):
        rows, offsets = samples * tokens, tokens * np.arange(samples + 1)
        a, g = (rng.standard_normal((rows, width)).astype(np.float32) for width in (d, p))
        layers.append(LayerFactors(f"layer {number}", a, g, offsets, True))
    return Factors(tuple(layers))


def grad_dot_rows(backend: str, device: torch.device, small: bool) -> list[Row]:
    m, n = (30, 70) if small else (1024, 8192)
    queries, points = token_layers(m, small, 1), token_layers(n, small, 2)
    some = queries.samples(0, min(m, CHECKED))
    norms = [np.sqrt(kernels.grad_dot_diagonal(side, side)) for side in (some, points)]
    indices = np.tile(np.arange(n), (len(some), 1))
    truth = _core.grad_dot_listed(*factor_sides(some, points), indices, "auto", 2)
    problem = f"grad_dot M={m:,} N={n:,}"

    def there(rows: Readable) -> torch.Tensor:
        return torch.as_tensor(np.asarray(rows)).to(device)

    sides = [
        (len(x.inputs) // m, there(x.inputs), there(y.inputs), there(x.gradients),
         there(y.gradients))
        for x, y in zip(queries.layers, points.layers, strict=True)
    ]  # fmt: skip

    def torch_products() -> torch.Tensor:
        out = torch.zeros(m, n, device=device)
        step = max(1, (1 << 28) // (16 * n))  # samples whose tokens x tokens fit
        for tokens, xa, ya, xg, yg in sides:
            for i in range(0, m, step):
                part = slice(i * tokens, (i + step) * tokens)
                pairs = (xa[part] @ ya.T + 1) * (xg[part] @ yg.T)
                out[i : i + step] += pairs.view(-1, tokens, n, tokens).sum((1, 3))
        return out

    peer = 6 * sum(
        product_seconds(Problem("", x, y), torch.bfloat16)
        for _, xa, ya, xg, yg in sides
        for x, y in ((xa, ya), (xg, yg))
    )

    q, x = (
        Factors(
            tuple(
                layer._replace(inputs=there(layer.inputs), gradients=there(layer.gradients))
                for layer in side.layers
            )
        )
        for side in (queries, points)
    )

    def products(tol: float | None) -> torch.Tensor:
        out = kernels.grad_dot(q, x, tol=tol, backend=backend, assume_finite=True)
        return torch.as_tensor(out)

    k = 10

    def strongest(screen: bool) -> torch.Tensor:
        top = kernels.grad_dot(q, x, k=k, screen=screen, backend=backend, assume_finite=True)
        return torch.as_tensor(top.scores)

    def torch_strongest() -> torch.Tensor:
        return torch_products().topk(k).values

    ours, near = f"genmem {backend}", f"genmem {backend}, tol=1e-3"
    best = f"{problem} k={k}"
    contenders: list[tuple[str, str, float | None, bool, Callable[[], torch.Tensor]]] = [
        (problem, ours, peer, False, lambda: products(None)),
        (problem, near, peer / 2, False, lambda: products(1e-3)),
        (problem, "torch products, sum", None, False, torch_products),
        (problem, "torch products, sum, TF32", None, True, torch_products),
        (best, ours, peer, False, lambda: strongest(False)),
        (best, f"{ours}, screen", peer / 2, False, lambda: strongest(True)),
        (best, "torch products, sum, topk", None, False, torch_strongest),
        (best, "torch products, sum, topk, TF32", None, True, torch_strongest),
    ]
    scale = np.outer(*norms)
    # Of a score the norms are not known: those of the pair that has it in float64 do.
    order = np.argsort(-truth, axis=1, kind="stable")[:, :k]
    wanted = {problem: (truth, scale)}
    wanted[best] = tuple(np.take_along_axis(of, order, axis=1) for of in (truth, scale))
    rows = []
    for what, name, against, tf32, run in contenders:
        torch.backends.cuda.matmul.allow_tf32 = tf32
        want, unit = wanted[what]
        error = float((np.abs(run()[: len(some)].cpu().numpy() - want) / unit).max())
        seconds = least(run, device)
        rows.append(Row(what, name, seconds, error, against / seconds if against else None))
    torch.backends.cuda.matmul.allow_tf32 = False
    return rows


def head(device: torch.device) -> list[str]:
    """What ran: card, driver, versions."""
    lines = [f"genmem {genmem.config()['genmem']}, {genmem.config()['cuda']['build']}"]
    lines.append(f"torch {torch.__version__}, CUDA {torch.version.cuda}, {platform.platform()}")
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        lines.append(f"{card.name}, sm_{card.major}{card.minor}, {card.total_memory >> 30} GiB")
    else:
        lines.append("no card: the script was tried on the processor, and no time means anything")
    return lines


def table(rows: list[Row]) -> list[str]:
    lines = [
        "| problem | contender | ms | worst error | share of torch.matmul |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        share = "" if row.share is None else f"{row.share:.0%}"
        numbers = f"{1e3 * row.seconds:.2f} | {row.error:.1e} | {share}"
        lines.append(f"| {row.problem} | {row.contender} | {numbers} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description="A card beside torch on it.")
    parser.add_argument("--backend", default="cuda", choices=["cuda", "cuda-emulated"])
    parser.add_argument("--results", type=Path, help="append the table to this file")
    asked = parser.parse_args()
    device = torch.device("cuda" if asked.backend == "cuda" else "cpu")
    rows = []
    for one in problems(device, small=asked.backend != "cuda"):
        for measured in (knn_rows, log_kde_rows, radius_rows, gradient_rows):
            rows += measured(one, asked.backend)
    rows += grad_dot_rows(asked.backend, device, small=asked.backend != "cuda")
    text = "\n".join([*head(device), "", *table(rows)]) + "\n"
    print(text, end="")
    if asked.results:
        with asked.results.open("a") as out:
            out.write(text)


if __name__ == "__main__":
    main()
