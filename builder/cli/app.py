"""The command `rosk` itself, which every command hangs on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.main import get_command_name

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


def only(name: str) -> None:
    """Leave out all commands but one; where there is no such command, all stay.

    Typer makes the options of every command before it looks which one is called, and that takes as long as to do
    nothing in a build.
    """
    commands = [each for each in app.registered_commands if name == (each.name or _name(each.callback))]
    groups = [each for each in app.registered_groups if name == each.name]
    if commands or groups:
        app.registered_commands, app.registered_groups = commands, groups


def _name(command: Callable[..., Any] | None) -> str | None:
    """What Typer calls the command of a function."""
    return get_command_name(command.__name__) if command else None
