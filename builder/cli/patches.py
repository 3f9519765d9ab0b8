"""`rosk patches`."""

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

patches_app = typer.Typer(
    help="The project's patches: how they apply, where they are from, and new ones.", no_args_is_help=True
)
app.add_typer(patches_app, name="patches")

TreeOption = Annotated[
    Path | None,
    typer.Option(
        "--tree",
        metavar="FOLDER",
        help="Check against this kernel tree, with no engine.",
        show_default="the project's kernel",
    ),
]


@patches_app.callback()
def patches() -> None:
    """The project's patches: how they apply, where they are from, and new ones."""


@patches_app.command("check")
def patches_check(
    project: ProjectOption = Path(),
    kernel: KernelOption = None,
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    tree: TreeOption = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail also when a patch is off its lines, or the table is stale.")
    ] = False,
    table: Annotated[bool, typer.Option("--table", help="Bring the table of the patches up to date too.")] = False,
    no_install: NoInstallOption = False,
    builder: BuilderOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Say of each patch whether it applies as a build applies it: exactly, at other lines, not at all, or needlessly.

    Exits with 3 when a build would fail: a patch needs fuzz, is in this kernel version already, comes before one that
    it needs, or does not apply. `--kernel VERSION` asks the same of another release, before you switch to it.
    """
    from builder.patches.run import PatchOptions, run_check  # noqa: PLC0415

    options = PatchOptions(
        root=project,
        kernel=kernel,
        arch=arch,
        flavour=flavour,
        tree=tree,
        strict=strict,
        table=table,
        allow_install=not no_install,
        builder=builder,
        as_json=as_json,
        verbose=verbose,
    )
    run_check(options)


@patches_app.command("refresh")
def patches_refresh(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Only these patches.", show_default="all of them")
    ] = None,
    project: ProjectOption = Path(),
    kernel: KernelOption = None,
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    tree: TreeOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would change.")] = False,
    no_install: NoInstallOption = False,
    builder: BuilderOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Write patches that apply at other lines, or with fuzz, again with the lines and the context of this kernel.

    Nothing but hunk headers and context that did not fit changes, and the result is tried: it does the same. Look at
    what a patch with fuzz does before you trust it. Exits with 3 when one cannot be refreshed; the others are.
    """
    from builder.patches.run import PatchOptions, run_refresh  # noqa: PLC0415

    options = PatchOptions(
        root=project,
        kernel=kernel,
        arch=arch,
        flavour=flavour,
        tree=tree,
        allow_install=not no_install,
        builder=builder,
        as_json=as_json,
        verbose=verbose,
    )
    run_refresh(options, names=names or (), dry_run=dry_run)


@patches_app.command("import")
def patches_import(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE...", help="Mailboxes, also with gzip; with --from-git ranges of commits."),
    ],
    project: ProjectOption = Path(),
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    from_git: Annotated[
        Path | None, typer.Option("--from-git", metavar="FOLDER", help="Take commits of this git tree.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the names of the new patches.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Import patches, numbered after those that there are: from mails, or from commits.

    The patches of a mailbox come in the order of their numbers ([PATCH 2/5]), files of one patch each in the order in
    which they are given; cover letters and replies are passed over. All of them are imported, or none: exits with 3
    when one is no patch, is missing in its mailbox, or is there already.

    Their names sort last: where there are names with no number, they are z-0001-SUBJECT.patch and so on.

    rosk patches import series.mbox

    rosk patches import --from-git ../linux v6.12..topic
    """
    from builder.patches.run import PatchOptions, run_import  # noqa: PLC0415

    options = PatchOptions(root=project, arch=arch, flavour=flavour, as_json=as_json)
    run_import(options, sources, git=from_git, dry_run=dry_run)


@patches_app.command("table")
def patches_table(
    project: ProjectOption = Path(),
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the table in patches/ARCH/README.md up to date: each patch's subject, author, origin and upstream status.

    `--json` prints the rows, and writes nothing.
    """
    from builder.patches.run import PatchOptions, run_table  # noqa: PLC0415

    run_table(PatchOptions(root=project, arch=arch, flavour=flavour, as_json=as_json))
