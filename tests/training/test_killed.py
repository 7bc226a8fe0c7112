"""A process that is killed outright leaves a directory that another one finishes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from genmem.datasets import Dataset, load
from genmem.training import Recipe, train

CHILD = """
import json, os, signal, sys
from genmem import ledger
from genmem.datasets import load
from genmem.training import Recipe, train

writes = 0
whole = ledger.os.replace

def killed_while_writing(source, target):
    global writes
    writes += 1
    if writes == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    whole(source, target)

ledger.os.replace = killed_while_writing
train(Recipe.from_dict(json.loads(sys.argv[4])), load(sys.argv[1]), sys.argv[2])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
@pytest.mark.parametrize("write", [5, 11])
def test_killed_between_writing_a_file_and_naming_it(
    data: Dataset, recipe: Recipe, tmp_path: Path, write: int
) -> None:
    np.savez(tmp_path / "bars.npz", x=data.x)
    loaded = load(tmp_path / "bars.npz")
    out = tmp_path / "run"
    child = subprocess.run(
        [
            sys.executable,
            "-c",
            CHILD,
            str(tmp_path / "bars.npz"),
            str(out),
            str(write),
            json.dumps(recipe.to_dict()),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert (out / "recipe.toml").is_file()
    assert not (out / "history.safetensors").exists()
    done: list[int] = []
    run = train(recipe, loaded, out, progress=lambda stage, epoch, of: done.append(epoch))
    assert done[-1] == 6
    assert (done[0] > 1) == (write == 11)
    for name, value in train(recipe, loaded).checkpoints[-1].state().items():
        assert torch.equal(run.checkpoints[-1].state()[name], value)
