"""The stub says what the native module has: same names, same arguments, same order."""

import ast
import re
from pathlib import Path

from genmem import _core

STUB = Path(_core.__file__).with_name("_core.pyi")


def stub_functions() -> dict[str, list[str]]:
    tree = ast.parse(STUB.read_text(encoding="utf-8"))
    return {
        node.name: [a.arg for a in node.args.args]
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }


def stub_values() -> set[str]:
    tree = ast.parse(STUB.read_text(encoding="utf-8"))
    named = {node.target.id for node in tree.body if isinstance(node, ast.AnnAssign)}
    return named | {node.name for node in tree.body if isinstance(node, ast.ClassDef)}


def native_functions() -> dict[str, list[str]]:
    found = {}
    for name in dir(_core):
        value = getattr(_core, name)
        if not name.startswith("_") and callable(value) and not isinstance(value, type):
            signature = value.__doc__.splitlines()[0]
            found[name] = re.findall(r"[(,]\s*(\w+):", signature.split(" -> ")[0])
    return found


def test_functions() -> None:
    assert native_functions() == stub_functions()


def test_values() -> None:
    public = {name for name in dir(_core) if not name.startswith("_")}
    assert public - native_functions().keys() == stub_values()
