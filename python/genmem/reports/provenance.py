"""What was run, for how long, on what: the facts that let a reader judge and repeat a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from genmem.reports import words
from genmem.reports.comparison import written
from genmem.reports.tables import Tables


@dataclass(frozen=True)
class Stage:
    """One stage of a run: its name, its time, its share of the longest stage in per cent."""

    name: str
    time: str
    share: float


def facts(tables: Tables) -> list[tuple[str, str]]:
    """Name and value of each fact that the summary holds, in reading order."""
    summary, data = tables.summary, tables.summary["data"]
    machine, versions = summary.get("machine") or {}, summary.get("versions") or {}
    trainings = _product(summary.get("folds"), summary.get("repeats"))
    found = {
        "data": _data(tables, data),
        "data fingerprint": _short(data.get("fingerprint")),
        "planted": _planted(data.get("planted")),
        "planted, found": _found(summary.get("planted_found") or {}),
        "model": _model(tables, summary),
        "cross-validation": trainings
        and f"{summary['folds']} folds × {summary['repeats']} repeats = {trainings} trainings",
        "epochs": summary.get("epochs"),
        "draws for log p": summary.get("draws"),
        "preset": summary.get("preset"),
        "seed": summary.get("seed"),
        "processor": _machine(machine),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "finished": _moment(summary.get("finished")),
    }
    return [(name, str(value)) for name, value in found.items() if value not in (None, "", [], {})]


def stages(tables: Tables) -> tuple[list[Stage], str]:
    """The stages with their times, and the time of all."""
    rows = [
        (str(stage["name"]), float(stage["seconds"])) for stage in tables.summary.get("stages", [])
    ]
    longest = max((seconds for _, seconds in rows), default=0.0) or 1.0
    total = words.duration(sum(seconds for _, seconds in rows)) if rows else ""
    return [
        Stage(name, words.duration(seconds), round(100 * seconds / longest, 1))
        for name, seconds in rows
    ], total


def settings(recipe: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every entry of the recipe with its dotted name."""
    for name, value in recipe.items():
        if isinstance(value, Mapping):
            yield from settings(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)


def command(tables: Tables) -> str:
    """The line that makes the run again."""
    summary = tables.summary
    if summary.get("command"):
        return str(summary["command"])
    options = [
        f"--{name} {summary[name]}" for name in ("preset", "seed") if summary.get(name) is not None
    ]
    return " ".join(["genmem audit", str(summary["data"]["name"]), *options, "--out RUN"])


def _data(tables: Tables, data: Mapping[str, Any]) -> str:
    shape = _shape(list(data.get("shape") or []), tables.noun == "image")
    classes = data.get("classes")
    number = len(classes) if isinstance(classes, list) else classes
    parts = [f"{data['name']}, {words.counted(tables.n, tables.noun)}"]
    parts += [shape] if shape else []
    parts += [f"{number} classes"] if number else []
    return ", ".join(parts)


def _shape(sides: list[int], images: bool) -> str:
    """(C, H, W) of images as "8 × 8 pixels in grey"; any other shape as it is."""
    if images and len(sides) == 3 and sides[0] in (1, 3):
        return f"{sides[1]} × {sides[2]} pixels in {'grey' if sides[0] == 1 else 'colour'}"
    return f"shape {' × '.join(str(side) for side in sides)}" if sides else ""


def _short(fingerprint: Any) -> str | None:
    """The first digits of a digest, enough to tell two data sets apart by eye."""
    return f"{str(fingerprint)[:16]}…" if fingerprint else None


def _moment(text: Any) -> str:
    """An ISO time to the minute, with its zone; any other text as it is."""
    try:
        moment = datetime.fromisoformat(str(text or ""))
    except ValueError:
        return str(text or "")
    return f"{moment:%Y-%m-%d %H:%M} {moment.tzname() or ''}".strip()


def _model(tables: Tables, summary: Mapping[str, Any]) -> str:
    recipe = tables.recipe.get("recipe", tables.recipe)
    model = recipe.get("model") if isinstance(recipe, Mapping) else None
    latent = recipe.get("latent") if isinstance(recipe, Mapping) else None
    parts = [str(model)] if model else []
    parts += [f"{latent} latent dimensions"] if latent else []
    parts += [f"objective {written(summary['objective'])}"] if summary.get("objective") else []
    return ", ".join(parts)


def _planted(planted: Any) -> str:
    if not isinstance(planted, Mapping):
        return ""
    sizes = {
        str(kind): len(members) if isinstance(members, list) else int(members)
        for kind, members in planted.items()
    }
    return ", ".join(
        f"{words.count(size)} {kind.replace('_', ' ')}" for kind, size in sizes.items() if size
    )


def _found(found: Mapping[str, Any]) -> str:
    """How well the run found what was planted in its data."""
    parts = []
    for name, value in found.items():
        if name == "outliers_auc":
            percent = words.share(float(value), 1)
            parts.append(f"M puts an outlier above another sample in {percent} of pairs (AUC)")
        else:
            kind = name.removesuffix("_named").replace("_", " ")
            parts.append(f"{words.share(float(value), 1)} of {kind} named")
    return "; ".join(parts)


def _machine(machine: Mapping[str, Any]) -> str:
    parts = [str(machine["cpu"])] if machine.get("cpu") else []
    parts += [str(machine["isa"])] if machine.get("isa") else []
    parts += [
        words.counted(int(machine[f"{noun}s"]), noun)
        for noun in ("core", "thread")
        if machine.get(f"{noun}s")
    ]
    return ", ".join(parts)


def _product(folds: Any, repeats: Any) -> int | None:
    return int(folds) * int(repeats) if folds and repeats else None
