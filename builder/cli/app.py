"""The command `rosk` itself, which every command hangs on."""

from __future__ import annotations

from typing import Annotated

import typer

from builder import __version__

app = typer.Typer(
    name="rosk",
    help="Builds, proves and publishes custom Linux kernels for container operating systems.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback(invoke_without_command=True)
def rosk(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    """Builds, proves and publishes custom Linux kernels for container operating systems."""
    if version:
        print(f"rosk {__version__}")
        raise typer.Exit
