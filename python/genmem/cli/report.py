"""`genmem report RUN`: the page of a run, made again from its files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genmem.cli.options import Debug


def report(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="Run directory that `genmem audit` wrote.", show_default=False
        ),
    ],
    debug: Debug = False,
) -> None:
    """Write RUN/report.html from the tables of RUN; nothing is trained or scored."""
    import genmem

    typer.echo(f"report: {genmem.report(run)}")
