"""`rosk import` and `rosk init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from builder.cli.app import app
from builder.cli.options import JsonOption


@app.command("import")
def import_(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A checkout of rancher/os-kernel or burmilla/os-kernel.")
    ],
    into: Annotated[
        Path | None,
        typer.Option("--into", metavar="DIR", help="The project's folder.", show_default="NAME-rosk here"),
    ] = None,
    kernel: Annotated[
        str | None,
        typer.Option(
            "--kernel",
            envvar="KERNEL_TAG",
            metavar="VERSION",
            help="The kernel.org version to build.",
            show_default="what the checkout says",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that is not empty; only what is written is replaced.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Turn a checkout of os-kernel into a project, and say what was changed, what could not be taken over, and why.

    Nothing of the checkout is executed, and it is not changed.
    """
    from builder.importing.run import run_import  # noqa: PLC0415 - quicker --help

    run_import(path, into, version=kernel, force=force, as_json=as_json)


@app.command()
def init(
    name: Annotated[
        Path, typer.Argument(metavar="NAME", help="The new folder; its name is the org, unless --org is given.")
    ],
    org: Annotated[
        str | None, typer.Option("--org", metavar="ORG", help="First part of the images' names.", show_default="NAME")
    ] = None,
    kernel: Annotated[
        str | None,
        typer.Option(
            "--kernel",
            envvar="KERNEL_TAG",
            metavar="VERSION",
            help="A kernel.org version to build.",
            show_default="the default project's kernel",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Start a new project from the default one."""
    from builder.importing.run import run_init  # noqa: PLC0415

    run_init(name, org=org, version=kernel, as_json=as_json)
