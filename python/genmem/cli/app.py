"""The program `genmem`: its verbs, its exit codes, its one-line errors."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from genmem.cli import audit, config, copying, data, influence, memorization, report, train
from genmem.cli.options import DEBUG

# What a wrong input, a full disk or a lost worker raises; Exit and Abort are RuntimeErrors too.
_FAILURES = (
    ArithmeticError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


class Verbs(TyperGroup):
    """A group of verbs whose failures are one line on stderr and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt:
            typer.echo("stopped; the same command goes on from here", err=True)
            raise typer.Exit(1) from None
        except _FAILURES as error:
            if ctx.meta.get(DEBUG):
                raise
            name = f"genmem {ctx.invoked_subcommand or ''}".strip()
            typer.echo(f"{name}: {_said(error)}", err=True)
            raise typer.Exit(1) from error


def _said(error: BaseException) -> str:
    """The message, with the kind of error where the message alone would not be a sentence."""
    text = str(error).strip()
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    plain = isinstance(error, (OSError, ValueError)) and text
    return text if plain else f"{type(error).__name__}: {text or 'no further message'}"


app = typer.Typer(
    name="genmem",
    cls=Verbs,
    help="Which training samples a generative model has memorized, which of them drive its "
    "likelihood, and why.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("audit")(audit.audit)
app.command("train")(train.train)
app.command("memorization")(memorization.memorization)
app.command("influence")(influence.influence)
app.command("copying")(copying.copying)
app.command("report")(report.report)
app.add_typer(data.app, name="data")
app.command("config")(config.config)


def main() -> None:
    """Entry point: exit code 0 = done, 1 = failed (one line says why), 2 = wrong usage."""
    app()
