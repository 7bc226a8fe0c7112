"""The kernels' own test program, without Python: plain, under the sanitizers, and on ARM.

It runs every operation x type x shape x stride on every backend of the machine against naive sums,
asks for the same bits on 1, 2, 3 and 8 threads and in batches, and exits with 1 on any fault.
"""

import re

import pytest

from genmem import _core
from native_builds import VARIANTS, WIDEST, Builds

SCREENED = {"knn", "radius_counts", "log_kde", "kde_gradient"}
PRODUCTS = {"grad_dot", "grad_dot_tol", "grad_dot_top", "grad_dot_diagonal"}
OPERATIONS = SCREENED | PRODUCTS | {"sq_distances"}
CALLS = {"interrupted", "several callers", "no queries"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_fault_on_any_backend(builds: Builds, variant: str) -> None:
    done = builds.ran(variant)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = re.findall(r"^(\w+) +([\w ]+\w) +(\d+) cases +(\d+) screened.* ok$", done.stdout, re.M)
    cases = {(backend, work): int(count) for backend, work, count, _ in lines}
    screened = {(backend, work) for backend, work, _, count in lines if int(count)}
    here = {name for name, why in _core.backend_states().items() if not why}
    special = {"aarch64": {"serial", "neon"}, "thread": {WIDEST}}
    backends = special.get(variant, here)
    wanted = {(name, work) for name in backends for work in OPERATIONS | CALLS}
    alone = "serial" if "serial" in backends else WIDEST
    assert set(cases) == wanted | {(alone, "exceptions")}
    assert min(cases.values()) > 0
    for backend in backends - {"serial"}:
        assert screened >= {(backend, work) for work in SCREENED}


@pytest.mark.parametrize("variant", ["plain"])
def test_avx512_without_products_of_integers(
    builds: Builds, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the processor has them, the screen for those without would never run."""
    if _core.backend_states().get("avx512", "absent"):
        pytest.skip("no AVX-512 on this machine")
    monkeypatch.setenv("GENMEM_NO_VNNI", "1")
    done = builds.run(variant, "--small", "--every", "3", "--backend", "avx512")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("variant", "fault", "said"),
    [
        ("plain", "nan", "FAULT serial nan"),
        ("aarch64", "nan", "FAULT serial nan"),
        ("address", "unwritten", "FAULT serial unwritten"),
        ("address", "overrun", "heap-buffer-overflow"),
        ("address", "overflow", "signed integer overflow"),
        ("thread", "race", "data race"),
    ],
)
def test_a_fault_is_noticed(builds: Builds, variant: str, fault: str, said: str) -> None:
    done = builds.run(variant, "--commit", fault)
    assert done.returncode not in (0, 2)
    assert said in done.stdout + done.stderr
