"""What a call adds to the peak of resident memory, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

MIB = 1 << 20
# Beyond inputs and outputs (kernels.md).
ALLOWED = 256 * MIB

# VmHWM, not ru_maxrss: that one starts at the peak of the process that forked. The arrays are read
# as they lie, so that nothing but them and the imports makes the peak before.
_CHILD = """
import json, re, sys
import numpy as np
from genmem import kernels
q, x = (np.load(path) for path in sys.argv[1:3])
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
def run(q, x):
    return {call}
run(q[:8], x[:8192])
before = peak()
answer = run(q, x)
outputs = sum(np.asarray(a).nbytes for a in (answer if isinstance(answer, tuple) else (answer,)))
print(json.dumps([peak() - before, outputs]))
"""


def extra(call: str, q: np.ndarray, x: np.ndarray, folder: Path) -> tuple[int, int]:
    """Bytes that `call`, an expression in kernels, q and x, adds to the peak; bytes it returns."""
    paths = [folder / "q.npy", folder / "x.npy"]
    for path, array in zip(paths, (q, x), strict=True):
        np.save(path, array)
    child = [sys.executable, "-c", _CHILD.replace("{call}", call), *map(str, paths)]
    done = subprocess.run(child, check=True, capture_output=True, text=True)
    added, outputs = json.loads(done.stdout)
    return added, outputs
