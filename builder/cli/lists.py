"""`rosk lists`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from builder.cli.app import app
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

lists_app = typer.Typer(
    help="The module lists, before any compile: what is wrong with them, mended, and why a module is where it is.",
    no_args_is_help=True,
)
app.add_typer(lists_app, name="lists")

NoEngineOption = Annotated[
    bool, typer.Option("--no-engine", help="Go by the release in dist alone, as its config was: takes a second.")
]


@lists_app.command("check")
def lists_check(
    project: ProjectOption = Path(),
    kernel: KernelOption = None,
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings are errors too.")] = False,
    no_engine: NoEngineOption = False,
    no_install: NoInstallOption = False,
    builder: BuilderOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Say what is wrong with the lists, in seconds and without a compile. Changes nothing.

    The engine tells which modules the config makes and which options build them; the release in dist, when there is
    one, what each depends on. Errors stop a build: a module in no list, a line that is wrong, there twice or in both
    lists. Warnings: a listed module that is elsewhere in this kernel, built in, off or unknown; a soft dependency, or
    a module needed to boot, that lands in the extras. Exits with 3 when there are errors.
    """
    from builder.lists.learn import ListOptions  # noqa: PLC0415 - quicker --help
    from builder.lists.run import run_check  # noqa: PLC0415

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
    run_check(options, strict=strict)


@lists_app.command("fix")
def lists_fix(
    project: ProjectOption = Path(),
    kernel: KernelOption = None,
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the diff, write nothing.")] = False,
    remove_duplicates: Annotated[
        bool, typer.Option("--remove-duplicates", help="Remove lines that a list has twice, the later ones.")
    ] = False,
    replace_moved: Annotated[
        bool,
        typer.Option("--replace-moved", help="Write the new path of a module that moved over the old one, not below."),
    ] = False,
    no_engine: NoEngineOption = False,
    no_install: NoInstallOption = False,
    builder: BuilderOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Add to the lists what none of them names, by lists.rules of the settings, and print the diff.

    Comments, blank lines and every line stay as they are. A module that moved is added below its old path, which other
    kernels may need. Exits with 3 when a rule leaves modules to you; all others are written then.
    """
    from builder.lists.learn import ListOptions  # noqa: PLC0415 - quicker --help
    from builder.lists.run import run_fix  # noqa: PLC0415

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
    run_fix(options, dry_run=dry_run, remove_duplicates=remove_duplicates, replace_moved=replace_moved)


@lists_app.command("why")
def lists_why(
    module: Annotated[str, typer.Argument(metavar="MODULE", help="Its path as in a list, its name, or an alias.")],
    project: ProjectOption = Path(),
    kernel: KernelOption = None,
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    no_engine: NoEngineOption = False,
    no_install: NoInstallOption = False,
    builder: BuilderOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Say why a module is where it is: its list, its option, who depends on it, its size and firmware.

    Exits with 3 when neither the kernel nor a list knows it.
    """
    from builder.lists.learn import ListOptions  # noqa: PLC0415 - quicker --help
    from builder.lists.run import run_why  # noqa: PLC0415

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
    run_why(module, options)
