"""What was built, and what of it this machine can use."""

from __future__ import annotations

import platform
from typing import Any

from genmem import _core

_LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "pandas", "pyarrow", "safetensors")


def config() -> dict[str, Any]:
    """Versions, compiler, backends (usable, or why not), the one "auto" takes, CUDA, threads.

    cuda is what its kernels were built for, and of the backends "cuda" and "cuda-emulated" (the
    same kernels on the processor, for tests: slow) whether they are usable, or why not.

    threads is what a call without threads= takes, or why it refuses what OMP_NUM_THREADS holds.
    """
    from importlib import metadata

    states = _core.backend_states()
    return {
        "genmem": metadata.version("genmem"),
        "compiler": _core.compiler,
        "machine": platform.machine(),
        "backends": {name: why or "usable" for name, why in states.items()},
        "auto": _core.chosen_backend("auto"),
        "cuda": {
            "build": _core.cuda_build or "not in this build",
            **{name: why or "usable" for name, why in _core.card_states().items()},
        },
        "threads": _threads(),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
    }


def show_config() -> None:
    """Print `config()`, one line an entry."""
    for name, value in config().items():
        if isinstance(value, dict):
            print(f"{name}:")
            for inner, text in value.items():
                print(f"  {inner:14s}{text}")
        else:
            print(f"{name:16s}{value}")


def _threads() -> int | str:
    try:
        return _core.default_threads()
    except ValueError as error:
        return str(error)


def _version(distribution: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"
