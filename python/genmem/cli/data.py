"""`genmem data`: which data sets are known, which are here, and how to get the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from genmem.cli.progress import progress

if TYPE_CHECKING:
    from genmem.datasets.registry import Source

app = typer.Typer(
    help="List the named data sets, or download one and verify it.", no_args_is_help=True
)


@app.command("list")
def list_() -> None:
    """Show every named data set: rows, shape, licence, and where it was found."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from genmem.datasets import registry

    table = Table()
    for heading in ("name", "rows", "shape", "licence", "found"):
        # Folded, not cut: a path must stay readable on a narrow terminal.
        table.add_column(heading, overflow="fold")
    for source in registry.SOURCES.values():
        cells = (
            source.name,
            " + ".join(f"{count:,} {split}" for split, count in source.rows.items()),
            " x ".join(str(size) for size in source.shape),
            source.licence,
            _found(source),
        )
        # Text, because rich would take brackets in a path for markup.
        table.add_row(*(Text(cell) for cell in cells))
    Console().print(table)


@app.command()
def get(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Name of the data set, as `genmem data list` shows it.",
            show_default=False,
        ),
    ],
    mirror: Annotated[
        list[str] | None,
        typer.Option(
            "--mirror",
            metavar="URL",
            help="Base address to download from; repeat it to name several, tried in order "
            "(default: those in GENMEM_MIRRORS, else the official ones).",
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Download even if the whole set was found here.")
    ] = False,
) -> None:
    """Download a data set into the cache; each file is checked against its SHA-256."""
    from genmem.datasets import download, loading, registry

    try:
        source = registry.source(name)
        download.addresses(source, mirror)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if not force and all(loading.where(source.name, split) for split in source.rows):
        typer.echo(
            f"{source.name} is here: {_found(source)}\n"
            "(--force downloads it into the cache; the GENMEM_DATA folder is looked in first)"
        )
        return
    with progress() as report:
        paths = download.fetch(source.name, mirrors=mirror, progress=report)
    for path, file in zip(paths, source.files, strict=True):
        typer.echo(f"{path}: {file.size:,} bytes, sha256 {file.sha256} ({file.digest})")
    typer.echo(f"licence: {source.licence}")


def _found(source: Source) -> str:
    """One path if every split is there, else what is where, else the command that gets it."""
    from genmem.datasets import loading

    places = {split: loading.where(source.name, split) for split in source.rows}
    if not any(places.values()):
        return f"not here: genmem data get {source.name}"
    if len(set(places.values())) == 1:
        return str(next(iter(places.values())))
    return ", ".join(f"{split}: {place or 'not here'}" for split, place in places.items())
