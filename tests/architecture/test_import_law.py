"""Who may import whom. A room imports only rooms below it; nothing imports the command line."""

import ast
from pathlib import Path

import pytest

import genmem

PACKAGE = Path(genmem.__file__).parent
LEAVES = {"arrays", "device", "equal_rows", "errors", "heard", "ledger", "noise"}
# Each room, and the rooms it may import besides the leaves and itself.
ALLOWED = {
    "reference": set(),
    "kernels": {"_core"},
    "density": {"kernels"},
    "copying": {"kernels", "density"},
    "datasets": set(),
    "models": set(),
    "objectives": {"models"},
    "training": {"models", "objectives", "datasets"},
    "memorization": {"training", "density", "datasets"},
    "influence": {"kernels", "training", "objectives", "datasets"},
    "studies": {"kernels", "density", "datasets", "models", "objectives", "training",
                "memorization", "influence", "copying"},
    "reports": set(),
    "cli": None,  # anything
}  # fmt: skip


def imported(path: Path) -> set[str]:
    """First names below genmem that a file imports at run time (TYPE_CHECKING blocks left out)."""
    names: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for part in node.orelse:
                visit(part)
            return
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.split(".")[0] == "genmem"
        ):
            below = node.module.split(".")[1:]
            names.update(below[:1] or [alias.name for alias in node.names])
        if isinstance(node, ast.Import):
            names.update(a.name.split(".")[1] for a in node.names if a.name.startswith("genmem."))
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return names


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_what_lies_below(room: str) -> None:
    files = sorted((PACKAGE / room).rglob("*.py"))
    assert files, f"room {room} is empty"
    if ALLOWED[room] is None:
        return
    allowed = ALLOWED[room] | {room} | (set() if room == "reference" else LEAVES)
    found = {path.name: imported(path) - allowed for path in files}
    assert not {name: extra for name, extra in found.items() if extra}


def test_every_room_is_under_the_law() -> None:
    rooms = {p.name for p in PACKAGE.iterdir() if p.is_dir() and (p / "__init__.py").exists()}
    assert rooms == set(ALLOWED)


@pytest.mark.parametrize("leaf", sorted(LEAVES))
def test_leaves_import_leaves(leaf: str) -> None:
    assert imported(PACKAGE / f"{leaf}.py") <= LEAVES


def test_only_the_doors_import_the_native_module() -> None:
    importers = {
        p.relative_to(PACKAGE).parts[0] for p in PACKAGE.rglob("*.py") if "_core" in imported(p)
    }
    assert importers == {"kernels"}


def test_no_name_says_nothing() -> None:
    vague = {"utils", "util", "common", "misc", "helpers", "helper"}
    assert not [p for p in PACKAGE.rglob("*") if p.stem in vague]
