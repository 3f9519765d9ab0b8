"""`rosk verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from builder.cli.app import app
from builder.cli.options import (
    AllowUncheckedOption,
    AllowUnsignedOption,
    ArchOption,
    DistArgument,
    FlavourOption,
    JsonOption,
    KeyOption,
    ProjectOption,
    release_folder,
)


@app.command()
def verify(
    dist: DistArgument = None,
    project: ProjectOption = Path(),
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Do this check only; may be given several times."),
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Do only what takes seconds, with no engine: what every build does.")
    ] = False,
    allow_unchecked: AllowUncheckedOption = False,
    key: KeyOption = None,
    allow_unsigned: AllowUnsignedOption = False,
    list_checks: Annotated[
        bool, typer.Option("--list", help="Name the checks, and what it means when one fails.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a release, whoever made it, by nothing but its bytes.

    Exits with 10 when a check fails. A check that needs a program which is not installed is `unchecked`: that fails
    too, unless it is allowed. One that does not apply is `skipped`, which does not.
    """
    from builder.trust.run import required_keys  # noqa: PLC0415 - quicker --help
    from builder.verify.run import VerifyOptions, print_checks, run_verify  # noqa: PLC0415

    if list_checks:
        print_checks()
        return
    folder = release_folder(dist, project, arch=arch, flavour=flavour)
    options = VerifyOptions(
        only=tuple(only or ()),
        fast=fast,
        allow_unchecked=allow_unchecked,
        as_json=as_json,
        keys=required_keys(project, folder, key or (), allow_unsigned=allow_unsigned),
    )
    run_verify(folder, options)
