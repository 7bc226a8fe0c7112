"""The strongest training samples of many test samples, over a whole training run.

    python benchmarks/influence_at_scale.py RUN                  captured while they are scored
    python benchmarks/influence_at_scale.py RUN --store DIR      captured into DIR by a process that
                                                                 is killed once; scored from DIR

RUN is the directory of a training on MNIST (GENMEM_DATA). Each step is a process of its own, whose
peak of resident memory is its VmHWM. The strongest scores of some tests are compared with float64
autograd before anything is printed. DIR is left for the reader to look at, and to remove.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MIB = 1 << 20
CHECKED = 3  # tests whose strongest and weakest listed score are computed again
# Of a score, relative to the sum over checkpoints of w_c |g_i| |g_j|.
GATES = {"float32": 1e-5, "bfloat16": 2**-6}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--train", type=int, help="the first so many training images (all)")
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--kill-after", type=float, default=30, help="seconds of the first capture")
    parser.add_argument("--step", choices=["live", "capture", "score"], help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    given = arguments()
    if given.step:
        print(json.dumps(STEPS[given.step](given)))
    elif given.store is None:
        say("live", finished(begun("live")), "float32")
    else:
        killed(given)
        say("capture, resumed", finished(begun("capture")), given.dtype)
        print(f"store: {size(given.store) / 2**30:.2f} GiB")
        say("scored from the store", finished(begun("score")), given.dtype)


# ---- Steps, each in a process of its own


def live(given: argparse.Namespace) -> dict[str, Any]:
    run, tracin, train, test = problem(given)
    found, facts = measured(lambda: tracin.influence(test, train, k=given.k))
    return facts | {"error": error(run, tracin, found, train, test, given.draws)}


def capture(given: argparse.Namespace) -> dict[str, Any]:
    _, tracin, train, test = problem(given)

    def both() -> None:
        tracin.capture(test, given.store / "test", side="test", dtype=given.dtype)
        tracin.capture(train, given.store / "train", dtype=given.dtype)

    return measured(both)[1]


def score(given: argparse.Namespace) -> dict[str, Any]:
    from genmem.influence import FactorStore
    from genmem.influence import score as scored

    queries, points = (FactorStore.open(given.store / side) for side in ("test", "train"))
    found, facts = measured(lambda: scored(queries, points, k=given.k, threads=given.threads))
    run, tracin, train, test = problem(given)
    return facts | {"error": error(run, tracin, found, train, test, given.draws)}


STEPS = {"live": live, "capture": capture, "score": score}


def problem(given: argparse.Namespace) -> tuple[Any, Any, Any, Any]:
    """The run, its TracIn, training and test images."""
    import torch

    from genmem import TracIn, datasets
    from genmem.training import Run

    torch.set_num_threads(given.threads)
    run = Run.load(given.run)
    train = datasets.load("mnist", limit=given.train)
    test = datasets.load("mnist", split="test", limit=given.test)
    return run, TracIn(run, draws=given.draws, threads=given.threads), train, test


def measured(call: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """The answer; wall and processor seconds, and the peak of the process in bytes."""
    wall, cpu = time.perf_counter(), time.process_time()
    answer = call()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert peak is not None
    return answer, {"seconds": wall, "cpu": cpu, "peak": int(peak[1]) * 1024}


def error(run: Any, tracin: Any, found: Any, train: Any, test: Any, draws: int) -> float:
    """Worst |score - exact| / sum_c w_c |g_i| |g_j| of a few listed pairs."""
    worst = 0.0
    for i in range(CHECKED):
        for place in (0, -1):
            j = int(found.indices[i, place])
            exact, scale = 0.0, 0.0
            for c, weight in enumerate(tracin.weights):
                left = gradient(run, c, test, i, "tracin test", draws)
                right = gradient(run, c, train, j, "tracin train", draws)
                exact += float(weight * (left @ right))
                scale += float(weight * left.norm() * right.norm())
            worst = max(worst, abs(float(found.scores[i, place]) - exact) / scale)
    return worst


def gradient(run: Any, checkpoint: int, data: Any, row: int, stream: str, draws: int) -> Any:
    """Of the loss of one sample, float64, under the draws that TracIn takes for it."""
    import torch

    from genmem.noise import normals
    from genmem.objectives import make
    from genmem.training import Inputs

    model = run.model(checkpoint).double()
    x = Inputs(run.recipe, data).batch([row]).double()
    drawn = normals(0, data.index[[row]], range(draws), model.latent, stream=stream)
    loss = make(run.recipe).loss(model, x, torch.from_numpy(drawn).double())
    parts = torch.autograd.grad(loss.sum(), list(model.parameters()))
    return torch.cat([part.flatten() for part in parts])


# ---- The parent


def begun(step: str) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, *sys.argv[1:], "--step", step]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finished(child: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = child.communicate()
    if child.returncode:
        sys.exit(f"a step ended with {child.returncode}")
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def say(step: str, found: dict[str, Any], dtype: str) -> None:
    assert found.get("error", 0.0) <= GATES[dtype], f"{step}: off by {found['error']:.1e}"
    off = f", error {found['error']:.0e}" if "error" in found else ""
    times = f"{found['seconds']:.1f} s, {found['cpu']:.1f} s of processors"
    print(f"{step}: {times}, peak {found['peak'] / MIB:.0f} MiB{off}", flush=True)


def killed(given: argparse.Namespace) -> None:
    """A capture that the system ends; what it had written must be there when it goes on."""
    child = begun("capture")
    time.sleep(given.kill_after)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    kept = blocks(given.store)
    print(f"killed after {given.kill_after:.0f} s with {len(kept)} blocks written", flush=True)
    (given.store / "kept.json").write_text(json.dumps({str(p): t for p, t in kept.items()}))


def blocks(folder: Path) -> dict[Path, int]:
    """Finished block files and when they were written, in nanoseconds."""
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("block_*.safetensors"))}


def size(folder: Path) -> int:
    """Bytes of a store; says how many of the blocks written before the kill were left alone."""
    now = {str(path): stamp for path, stamp in blocks(folder).items()}
    before = json.loads((folder / "kept.json").read_text())
    same = sum(now.get(path) == stamp for path, stamp in before.items())
    print(f"{len(now)} blocks; of {len(before)} from before the kill, {same} are as they were")
    assert same == len(before)
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
