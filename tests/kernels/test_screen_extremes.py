"""Screened calls where float32 ends: underflow, overflow, borders, and what they may use."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from budget import assert_within
from genmem import kernels, reference


def small_among_large(size: float, dtype: type) -> np.ndarray:
    """Rows far smaller than the spread that two others give the whole."""
    points = np.random.default_rng(0).standard_normal((4096, 100)) * size
    points[0], points[2048] = 1.0, -1.0
    return points.astype(dtype)


@pytest.mark.card(when=lambda params: params["size"] in (1e-18, 1e-22, 1e-25))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e-18, 1e-20, 1e-21, 1e-22, 1e-23, 1e-25])
def test_rows_far_smaller_than_the_spread(backend: str, size: float, dtype: type) -> None:
    """Their products underflow in the screen: they must pass it."""
    points = small_among_large(size, dtype)
    queries = points[100:108]
    sq = kernels.sq_distances(queries, points, backend=backend)
    got = kernels.nearest_sq(queries, points, 3, backend=backend)
    assert_within(got[0], np.sort(sq, axis=1)[:, :3], 1e-14 * np.sort(sq, axis=1)[:, :3])
    assert (got[1][:, 0] == np.arange(100, 108)).all()
    assert (kernels.radius_counts(queries, points, 0.0, backend=backend) == 1).all()
    if size**2 > 1e-40:
        own = np.arange(100, 108)
        slope = kernels.kde_gradient(queries, points, size, exclude=own, backend=backend)
        want = reference.log_kde_gradient(queries, points, size, exclude=own)
        assert_within(slope, want, 1e-9 * np.abs(want).max())


@pytest.mark.card
def test_rows_whose_sums_overflow(backend: str) -> None:
    """Opposite rows near the end of float32, in a frame that never saw them."""
    rng = np.random.default_rng(0)
    points = rng.standard_normal((4096, 40))
    edge = math.sqrt(np.finfo(np.float32).max / 3 / 40)
    points[1::4][:6] = edge * np.sign(rng.standard_normal((6, 40)))
    queries = -points[1::4][:6]
    got = kernels.nearest_sq(queries, points, 4096 // 10, backend=backend)
    want = kernels.nearest_sq(queries, points, 4096 // 10, backend="serial")
    assert_within(got[0], want[0], 1e-13 * want[0])


@pytest.mark.card
def test_counts_where_bounds_say_nothing(backend: str) -> None:
    points = np.random.default_rng(0).standard_normal((4096, 20)) * 1e-40
    points[1::4][:10] = 1e150
    counts = kernels.radius_counts(points[:4], points, 1e148, backend=backend)
    assert counts.tolist() == [4086, 10, 4086, 4086]
    points[7] = np.nan
    assert (
        kernels.radius_counts(points[:4], points, np.inf, backend=backend, assume_finite=True)
        == 4095
    ).all()


@pytest.mark.card(when=lambda params: params["d"] < 100)
@pytest.mark.parametrize("d", [17, 63, 64, 65, 33024, 33025, 33026])
def test_bytes_at_their_limits(backend: str, d: int) -> None:
    """All features 0 or 255: the largest integer there is, and where floats take over."""
    rng = np.random.default_rng(d)
    points = np.repeat(rng.integers(0, 2, (2100, 1)).astype(np.uint8) * 255, d, axis=1)
    points[:, 0] = rng.integers(0, 256, 2100)
    queries = points[:5]
    got = kernels.nearest_sq(queries, points, 40, backend=backend)
    first = points[:, 0].astype(float)
    rest = points[:, 1].astype(float)
    sq = (first[:5, None] - first) ** 2 + (d - 1) * (rest[:5, None] - rest) ** 2
    assert (got[0] == np.sort(sq, axis=1)[:, :40]).all()
    assert (got[1] == np.argsort(sq, axis=1, kind="stable")[:, :40]).all()


@pytest.mark.card
def test_expanded_distances_of_copies_are_zero(backend: str) -> None:
    points = np.random.default_rng(1).standard_normal((500, 20)) + 3
    slots = kernels.kde_slots(points, points, 0.5, backend=backend)
    assert (slots.top == 0).all()
    assert (slots.top_index == np.arange(500)).all()


class TestGradientWithoutMass:
    def test_raises_where_no_point_is_left(self) -> None:
        with pytest.raises(ValueError, match="query 0 has no point of positive weight left"):
            kernels.kde_gradient(
                [[0.0, 0.0]], [[0.0, 1.0], [2.0, 3.0]], 1.0, weights=[1, 0], exclude=[0]
            )

    def test_is_nan_beyond_the_largest_float(self) -> None:
        slope = kernels.kde_gradient([[1e200, 0.0], [0.0, 1.0]], np.zeros((3, 2)), 1.0)
        assert np.isnan(slope[0]).all()
        assert_within(slope[1], [0.0, -1.0], 1e-15)


@pytest.mark.parametrize(("bandwidth", "scale"), [(1.0, 1e-162), (1e-150, 1e-154), (1.0, 1e160)])
def test_refuses_widths_whose_squares_are_no_numbers(bandwidth: float, scale: float) -> None:
    with pytest.raises(ValueError, match="h \\* point_scales has the square"):
        kernels.log_kde(np.zeros((2, 2)), np.zeros((2, 2)), bandwidth, point_scales=[scale] * 2)


@pytest.mark.parametrize(
    ("d", "bandwidth"), [(3072, 0.0103), (12288, 0.1), (12288, 0.01), (3072, 1e-8)]
)
def test_the_certificate_covers_the_normaliser(d: int, bandwidth: float) -> None:
    """A copy of the only point: log p is the normaliser alone, known in extended precision."""
    x = np.ones((1, d))
    log_p, work = kernels.log_kde(x, x, bandwidth, return_stats=True)
    exact = -d * (np.log(np.longdouble(bandwidth)) + np.log(2 * np.longdouble(math.pi)) / 2)
    # pi of float64, doubled: off by 2e-16 relative in the logarithm's argument.
    assert abs(log_p[0] - exact) <= work.error[0] + d * 1.2e-16


def test_the_certificate_covers_the_weights() -> None:
    weights = np.concatenate([[1.0], np.full(100_000, 1.1e-16)])
    log_p, work = kernels.log_kde(
        [[0.0]], np.zeros((100_001, 1)), 1.0, weights=weights, exclude=[100_000], return_stats=True
    )
    assert abs(log_p[0] + 0.5 * math.log(2 * math.pi)) <= work.error[0]


def run_limited(code: str, megabytes: int) -> subprocess.CompletedProcess[str]:
    """`code` in a process whose memory may grow by so much once it has imported all."""
    start = (
        "import resource, numpy as np\n"
        "from genmem import kernels\n"
        "x = np.random.default_rng(0).standard_normal((20_000, 70)).astype('f4')\n"
        "kernels.knn(x[:2], x, 1, threads=2)\n"
        "size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        f"limit = size + ({megabytes} << 20)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
    )
    return subprocess.run(
        [sys.executable, "-c", start + code], capture_output=True, text=True, timeout=120
    )


@pytest.mark.skipif(sys.platform != "linux", reason="limits of the address space are Linux's")
@pytest.mark.parametrize("megabytes", [4, 12, 20, 30, 45])
def test_memory_that_cannot_be_had_is_an_error_and_no_crash(megabytes: int) -> None:
    done = run_limited(
        "try:\n"
        "    kernels.kde_slots(x[:8192], x, 1.0, threads=2)\n"
        "    print('done')\n"
        "except MemoryError:\n"
        "    print('MemoryError')\n"
        "print(kernels.knn(x[:2], x, 1, threads=1).indices.ravel().tolist())\n",
        megabytes,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] in ("MemoryError", "done")
    assert done.stdout.split("\n")[1] == "[0, 1]"


# Not ru_maxrss: a process starts with that of the one that it was started from.
PEAK = """
from pathlib import Path
import numpy as np
from genmem import kernels

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024
"""

NEIGHBOURS = """
x = np.random.default_rng(0).standard_normal((20_000, 32)).astype("f4")
kernels.knn(x[:40], x, 5, threads=2)
before = peak()
found = kernels.knn(x[:8192], x, 1000, threads=8)
# Distances are float64 first, then of the type of the queries.
answers = 8192 * 1000 * (8 + 8 + 4)
print(peak() - before - answers)
"""

SUMS = """
x = np.random.default_rng(0).standard_normal((8192, 784), dtype="f4")
def grown(rows, memory):
    before = peak()
    _, work = kernels.log_kde(x[:rows], x[:4096], 3.0, threads=1, memory=memory, return_stats=True)
    return peak() - before, work.screened
grown(64, 1)
print(*grown(8192, 1 << 20), *grown(8192, 1 << 28))
"""


def printed(code: str) -> list[str]:
    if not Path("/proc/self/status").exists():
        pytest.skip("no /proc on this system")
    done = subprocess.run(
        [sys.executable, "-c", PEAK + code], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_working_memory_of_many_neighbours() -> None:
    """k = 1,000 on eight threads: 256 MiB beyond inputs and answers."""
    (beyond,) = printed(NEIGHBOURS)
    assert int(beyond) <= 256 << 20


def test_working_memory_of_sums() -> None:
    """1 MiB of packed rows and hits, and some 6 MiB of distances of blocks, of one thread."""
    short, screened, long, _ = printed(SUMS)
    assert int(short) <= 12 << 20
    # Else the bound would hold for any memory.
    assert screened == "False" or int(short) + int(long) > 12 << 20
