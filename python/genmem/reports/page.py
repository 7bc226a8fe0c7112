"""One self-contained HTML page from one run directory: no script, no network, no clock."""

from __future__ import annotations

from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from genmem.ledger import write_text
from genmem.reports import copying, generated, heldout, plates, provenance, words
from genmem.reports.figures import Drawing
from genmem.reports.figures.palette import DARK, LIGHT, declarations
from genmem.reports.figures.scales import linear_width
from genmem.reports.gallery import CARDS, Gallery
from genmem.reports.glossary import GLOSSARY
from genmem.reports.opening import opening
from genmem.reports.ranking import ranking
from genmem.reports.tables import Tables, read

TEMPLATES = "templates"


def report(run_directory: str | Path) -> Path:
    """Write `report.html` and `figures/*.svg` into a run directory; returns the path of the page.

    Reads the tables of the directory only. Raises FileNotFoundError if a required file is missing,
    naming it and the command that makes it; DataError if a file is damaged or of another run;
    ModuleNotFoundError without matplotlib or jinja2, before anything is read or written.
    """
    _require("matplotlib", "jinja2")
    tables = read(run_directory)
    text, drawings = render(tables)
    for drawing in drawings:
        write_text(tables.directory / "figures" / f"{drawing.name}.svg", drawing.file)
    path = tables.directory / "report.html"
    write_text(path, text)
    return path


def render(tables: Tables) -> tuple[str, list[Drawing]]:
    """The page as text, and the figures on it."""
    gallery = Gallery(tables)
    shown = {
        "spread": plates.show(tables, plates.SPREAD),
        "course": plates.show(tables, plates.COURSE),
        "density": plates.show(tables, plates.DENSITY),
        "influence": plates.show(tables, plates.INFLUENCE),
        "correlations": plates.show(tables, plates.CORRELATIONS),
        "panels": plates.attribute_panels(tables),
        "matrix": plates.show(tables, plates.MATRIX),
        "pairwise": plates.show(tables, plates.PAIRS),
    }
    copied = None if tables.copying is None else plates.show(tables, plates.COPYING)
    noun = tables.noun
    duplicates = tables.summary.get("duplicates", [])
    pairs = gallery.pairs()
    stages, total = provenance.stages(tables)
    text = (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=tables.summary["title"],
            n=tables.n,
            noun=noun,
            a_noun=f"{'an' if noun == 'image' else 'a'} {noun}",
            answers=opening(tables, gallery),
            most=gallery.most(),
            least=gallery.least(),
            cards=CARDS,
            gaps=_gaps(tables),
            duplicates=pairs,
            duplicate_count=len(duplicates),
            duplicate_rule=tables.summary.get("duplicate_rule"),
            ranking=ranking(tables, gallery),
            facts=provenance.facts(tables),
            stages=stages,
            total=total,
            warnings=tables.summary.get("warnings", []),
            settings=list(provenance.settings(tables.recipe)),
            command=provenance.command(tables),
            glossary=GLOSSARY if copied is None else GLOSSARY + copying.GLOSSARY,
            bent=linear_width(tables.score[np.isfinite(tables.score)]) is not None,
            copying=None if copied is None else _copying(tables, copied),
            generated=_generated(tables, gallery),
            heldout=_heldout(tables),
            **shown,
        )
    )
    groups = [*shown.values(), *([] if copied is None else [copied])]
    return text, [drawing for group in groups for drawing in group.drawings]


def _copying(tables: Tables, shown: plates.Shown) -> dict[str, Any]:
    """What the section on copying shows."""
    held = tables.copying
    assert held is not None
    return {
        "lead": copying.lead(held),
        "heads": copying.HEADS,
        "rows": copying.rows(held),
        "notes": copying.notes(held),
        "matches": copying.matches(held),
        "shown": shown,
    }


def _heldout(tables: Tables) -> dict[str, Any] | None:
    """What the section on held-out samples shows."""
    held = tables.heldout
    if held is None:
        return None
    return {
        "lead": heldout.lead(held, tables.noun),
        "traced": heldout.traced(held, tables.summary["data"].get("classes")),
    }


def _generated(tables: Tables, gallery: Gallery) -> dict[str, Any] | None:
    """What the section on generated samples shows."""
    held = tables.generated
    if held is None:
        return None
    return {
        "lead": generated.lead(held, tables.noun),
        "drivers": generated.drivers(held, gallery),
        "drawn": generated.drawn(held, gallery),
    }


def _require(*packages: str) -> None:
    for name in packages:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            text = f"report: the page is made with {name}, which cannot be imported ({error})"
            raise ModuleNotFoundError(text, name=name) from error


def _gaps(tables: Tables) -> list[str]:
    """What the cards leave out, and why."""
    needed = {
        "images.safetensors": (tables.images, "pictures"),
        "scores/neighbours.parquet": (tables.neighbours, "nearest neighbours"),
        "influence/proponents.parquet": (tables.influence, "proponents and opponents"),
    }
    return [
        plates.missing(file, [shows]) for file, (table, shows) in needed.items() if table is None
    ]


def _environment() -> Any:
    import jinja2

    folder = files("genmem.reports") / TEMPLATES
    sources = {
        item.name: item.read_text(encoding="utf-8") for item in folder.iterdir() if item.is_file()
    }
    environment = jinja2.Environment(
        loader=jinja2.DictLoader(sources),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"count": words.count, "counted": words.counted}
    environment.globals |= {
        "light": declarations(LIGHT),
        "dark": declarations(DARK),
        "css": sources["page.css"],
    }
    return environment
