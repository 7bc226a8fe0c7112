"""Python code in a process of its own, in which some packages cannot be imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection

BLOCKED = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refuse())
"""


def run(code: str, blocked: Collection[str] = ()) -> str:
    """What the code prints."""
    script = (BLOCKED.format(blocked=set(blocked)) if blocked else "") + code
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
