"""`rosk firmware`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from builder.cli.app import app
from builder.cli.lists import NoEngineOption
from builder.cli.options import (
    ArchOption,
    BuilderOption,
    FlavourOption,
    JsonOption,
    KernelOption,
    NoInstallOption,
    ProjectOption,
    VerboseOption,
)

firmware_app = typer.Typer(
    help="The firmware lists, before any compile: what modules ask for, what the source has, and under which licence.",
    no_args_is_help=True,
)
app.add_typer(firmware_app, name="firmware")


@firmware_app.command("check")
def firmware_check(
    project: ProjectOption = Path(),
    kernel: KernelOption = None,
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings are errors too.")] = False,
    upstream: Annotated[
        bool, typer.Option("--upstream", help="Say also what linux-firmware itself has that is newer than the source.")
    ] = False,
    url: Annotated[
        str | None,
        typer.Option(
            "--from",
            envvar="ROSK_WHENCE_URL",
            metavar="URL",
            help="With --upstream: where linux-firmware's WHENCE is; also a file or a clone of this machine.",
            show_default="kernel.org's",
        ),
    ] = None,
    no_engine: NoEngineOption = False,
    no_install: NoInstallOption = False,
    builder: BuilderOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Say what is wrong with the firmware lists, in seconds and without a compile. Changes nothing.

    Errors: a line that is wrong, there twice or in both lists; with firmware.strict also one that the source lacks.
    Warnings: what a module may ask for and no package has, what lands in the extras though the kernel package wants
    it, a newer version of a listed file, a file that no module names, a licence that is missing or not clear. `--json`
    has each file that ships with its licence and who asks for it. Exits with 3 when there are errors.

    --upstream fetches linux-firmware's table of contents and no more; without a network the one in the cache counts,
    and its age is said.
    """
    from builder.firmware.run import run_check  # noqa: PLC0415 - quicker --help
    from builder.firmware.upstream import WHENCE_URL  # noqa: PLC0415
    from builder.lists.learn import ListOptions  # noqa: PLC0415

    options = ListOptions(
        root=project,
        kernel=kernel,
        arch=arch,
        flavour=flavour,
        engine=not no_engine,
        allow_install=not no_install,
        builder=builder,
        as_json=as_json,
        verbose=verbose,
    )
    run_check(options, strict=strict, upstream=(url or WHENCE_URL) if upstream else None)


@firmware_app.command("fix")
def firmware_fix(
    project: ProjectOption = Path(),
    kernel: KernelOption = None,
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the diff, write nothing.")] = False,
    newer: Annotated[
        bool, typer.Option("--newer", help="Write a newer version that a module takes over the older one in the list.")
    ] = False,
    no_engine: NoEngineOption = False,
    no_install: NoInstallOption = False,
    builder: BuilderOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Add to the firmware lists what modules ask for and the source has, and print the diff.

    What a module of the kernel package asks for goes to firmware.list, what only the extras ask for to
    firmware-extra.list. Every other line and comment stays as it is.
    """
    from builder.firmware.run import run_fix  # noqa: PLC0415 - quicker --help
    from builder.lists.learn import ListOptions  # noqa: PLC0415

    options = ListOptions(
        root=project,
        kernel=kernel,
        arch=arch,
        flavour=flavour,
        engine=not no_engine,
        allow_install=not no_install,
        builder=builder,
        as_json=as_json,
        verbose=verbose,
    )
    run_fix(options, dry_run=dry_run, take_newer=newer)
