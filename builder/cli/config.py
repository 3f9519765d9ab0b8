"""`rosk config`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from builder.cli.app import app
from builder.cli.options import (
    ArchOption,
    BuilderOption,
    FlavourOption,
    JsonOption,
    KernelOption,
    NoInstallOption,
    OnlyArchOption,
    OnlyFlavourOption,
    ProjectOption,
    VerboseOption,
)

if TYPE_CHECKING:
    from builder.config.ask import ConfigOptions

config_app = typer.Typer(
    help="The kernel config, before any compile: edited, checked, compared, and moved to another kernel.",
    no_args_is_help=True,
)
app.add_typer(config_app, name="config")

FragmentOption = Annotated[
    str | None,
    typer.Option(
        "--fragment",
        metavar="NAME",
        help="Edit this fragment of the settings instead of kernel-config; with --flavour it is that one's last.",
    ),
]


def _options(
    project: Path,
    arch: str | None,
    flavour: str | None,
    kernel: str | None = None,
    *,
    no_install: bool,
    builder: str | None,
    as_json: bool = False,
    verbose: bool,
) -> ConfigOptions:
    from builder.config.ask import ConfigOptions  # noqa: PLC0415 - quicker --help
    from builder.question import Asking  # noqa: PLC0415

    asking = Asking(allow_install=not no_install, builder=builder, verbose=verbose)
    return ConfigOptions(root=project, kernel=kernel, arch=arch, flavour=flavour, asking=asking, as_json=as_json)


@config_app.command("edit")
def config_edit(
    fragment: FragmentOption = None,
    menu: Annotated[str, typer.Option("--menu", help="kconfig's menus: menuconfig or nconfig.")] = "menuconfig",
    project: ProjectOption = Path(),
    kernel: KernelOption = None,
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    no_install: NoInstallOption = False,
    builder: BuilderOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Edit the config in kconfig's menus on this terminal, with the project's own kernel and compiler.

    It is saved as it was, a whole .config or a minimal one, with its order and its comments; leaving without saving
    changes nothing. Exits with 3 where there is no terminal.
    """
    from builder.config.editing import run_edit  # noqa: PLC0415

    options = _options(project, arch, flavour, kernel, no_install=no_install, builder=builder, verbose=verbose)
    run_edit(options, fragment=fragment, menu=menu)


@config_app.command("set")
def config_set(
    values: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="VXLAN=m, SND=n, LOG_BUF_SHIFT=18.")],
    fragment: FragmentOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would change, write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write it also when a value does not take.")] = False,
    project: ProjectOption = Path(),
    kernel: KernelOption = None,
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    no_install: NoInstallOption = False,
    builder: BuilderOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Set options, once kconfig has shown that they take; say what else changes by that.

    Comments and the order of the file stay as they are. Exits with 3, and writes nothing, when there is no such option,
    the value is not of its type, or it does not take: then with the reason, and what to set first.
    """
    from builder.config.setting import run_set  # noqa: PLC0415

    options = _options(
        project, arch, flavour, kernel, no_install=no_install, builder=builder, as_json=as_json, verbose=verbose
    )
    run_set(values, options, fragment=fragment, force=force, dry_run=dry_run)


@config_app.command("check")
def config_check(
    strict: Annotated[
        bool, typer.Option("--strict", help="An option of a whole .config that was dropped is an error too.")
    ] = False,
    project: ProjectOption = Path(),
    kernel: KernelOption = None,
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    no_install: NoInstallOption = False,
    builder: BuilderOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Say of each option that does not come out as asked why, and whether the settings' policies are kept.

    Takes seconds, and changes nothing. Exits with 3 when a build would stop for the config.
    """
    from builder.config.checking import run_check  # noqa: PLC0415

    options = _options(
        project, arch, flavour, kernel, no_install=no_install, builder=builder, as_json=as_json, verbose=verbose
    )
    run_check(options, strict=strict)


@config_app.command("diff")
def config_diff(
    old: Annotated[
        str, typer.Argument(metavar="[OLD]", help="defaults, defconfig, project, running, or a path.")
    ] = "defaults",
    new: Annotated[str, typer.Argument(metavar="[NEW]", help="The same.")] = "project",
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 when they differ.")] = False,
    project: ProjectOption = Path(),
    kernel: KernelOption = None,
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    no_install: NoInstallOption = False,
    builder: BuilderOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Show in which options two configs differ, by where they stand in the kernel.

    A config is `defaults` (Kconfig's own), `defconfig` (the architecture's), `project`, `running` (this machine's
    kernel), the folder of a project or of a release, or a file, also one with gzip such as /proc/config.gz. A minimal
    config is completed on the project's kernel first.
    """
    from builder.config.comparing import run_diff  # noqa: PLC0415

    options = _options(
        project, arch, flavour, kernel, no_install=no_install, builder=builder, as_json=as_json, verbose=verbose
    )
    if run_diff(old, new, options) and exit_code:
        raise typer.Exit(1)


@config_app.command("update")
def config_update(
    version: Annotated[
        str | None,
        typer.Argument(metavar="[VERSION]", help="A release of kernel.org, or a series of Debian's packages."),
    ] = None,
    tarball: Annotated[Path | None, typer.Option("--tarball", metavar="FILE", help="The archive of a kernel.")] = None,
    tree: Annotated[Path | None, typer.Option("--tree", metavar="FOLDER", help="A kernel tree.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the config, and the version in the settings.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write also what a build would stop for.")] = False,
    project: ProjectOption = Path(),
    arch: OnlyArchOption = None,
    flavour: OnlyFlavourOption = None,
    no_install: NoInstallOption = False,
    builder: BuilderOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Say what the config comes to on another kernel: options that are new, gone or renamed, and values that change.

    Of every flavour for every architecture of the project, or of those that --arch and --flavour choose. With --write
    the lines of options that are gone go, those that are surely renamed get their new name, and the settings name the
    new kernel. Exits with 3, and writes nothing at all, when a build of one of them would stop for its config.
    """
    from builder.config.updating import run_update  # noqa: PLC0415

    options = _options(project, arch, flavour, no_install=no_install, builder=builder, as_json=as_json, verbose=verbose)
    run_update(version, options, tarball=tarball, tree=tree, write=write, force=force)


@config_app.command("policy")
def config_policy(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="docker, containerd, hardening, or a file of the project.",
            show_default="those of the settings",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Recommendations are errors too.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Print also the rules that are kept.")] = False,
    project: ProjectOption = Path(),
    kernel: KernelOption = None,
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    no_install: NoInstallOption = False,
    builder: BuilderOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Say which rules of policies the config keeps and breaks, each with its reason.

    `hardening` is the report of kernel-hardening-checker, a program of its own that has to be installed. Exits with 3
    when a rule with `must` is broken; a recommendation is none, unless --strict.
    """
    from builder.config.reporting import run_policy  # noqa: PLC0415

    options = _options(
        project, arch, flavour, kernel, no_install=no_install, builder=builder, as_json=as_json, verbose=verbose
    )
    run_policy(names or (), options, strict=strict, every=every)
