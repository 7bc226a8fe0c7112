"""`genmem config`: what this build is and what this machine can run."""

from __future__ import annotations

import json as json_text
from typing import Annotated

import typer

from genmem.cli.options import Debug


def config(
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of lines.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Show the build, the instruction sets, CUDA, the threads and the versions in use."""
    import genmem

    if json:
        typer.echo(json_text.dumps(genmem.config(), default=str, indent=2))
    else:
        genmem.show_config()
