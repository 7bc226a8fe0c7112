"""What a call adds to the peak of resident memory, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = str(Path(__file__).resolve().parent)
MIB = 1 << 20
# Beyond inputs and outputs (kernels.md).
ALLOWED = 256 * MIB

# VmHWM, not ru_maxrss: that one starts at the peak of the process that forked.
_CHILD = """
import json, re
{setup}
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
{warm}
before = peak()
answer = {call}
outputs = sum(a.nbytes for a in (answer if isinstance(answer, tuple) else (answer,)))
print(json.dumps([peak() - before, outputs]))
"""

# The arrays are read as they lie, so that nothing but them and the imports makes the peak before.
_ARRAYS = """
import numpy as np
from genmem import kernels
q, x = (np.load(path) for path in {paths!r})
def run(q, x):
    return {call}
"""


def added(setup: str, warm: str, call: str) -> tuple[int, int]:
    """Bytes that the expression `call` adds to the peak after `setup` and `warm`, which makes every
    import that the call does; bytes it returns."""
    code = _CHILD.format(setup=setup, warm=warm, call=call)
    child = [sys.executable, "-c", code]
    done = subprocess.run(child, check=True, capture_output=True, text=True)
    more, outputs = json.loads(done.stdout.splitlines()[-1])
    return more, outputs


def extra(call: str, q: np.ndarray, x: np.ndarray, folder: Path) -> tuple[int, int]:
    """`added` by an expression in kernels, q and x."""
    paths = [str(folder / "q.npy"), str(folder / "x.npy")]
    for path, array in zip(paths, (q, x), strict=True):
        np.save(path, array)
    setup = _ARRAYS.format(paths=paths, call=call)
    return added(setup, "run(q[:8], x[:8192])", "run(q, x)")


def said(added: int, outputs: int) -> str:
    return f"+{added / MIB:.0f} MiB at the peak, outputs {outputs / MIB:.1f}"
