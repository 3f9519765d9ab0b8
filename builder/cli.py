"""The command line. It reads options and calls; what happens is elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from builder import __version__
from builder.errors import EngineError
from builder.project import Project, load_project

app = typer.Typer(
    name="rosk",
    help="Builds, proves and publishes custom Linux kernels for container operating systems.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

ProjectOption = Annotated[
    Path, typer.Option("--project", "-C", help="The project's folder.", file_okay=False, show_default="this folder")
]
KernelOption = Annotated[
    str | None,
    typer.Option(
        "--kernel",
        envvar="KERNEL_TAG",
        metavar="VERSION",
        help="Build this kernel.org version instead of the settings' kernel.",
    ),
]
ArchOption = Annotated[
    str | None, typer.Option("--arch", help="Package architecture: x86 or arm64.", show_default="this machine's")
]
RegistryOption = Annotated[
    list[str] | None,
    typer.Option("--registry", metavar="HOST[:PORT][/PREFIX]", help="Push there instead; may be given several times."),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Fail when an option of a full config did not survive, too.")
]
NoInstallOption = Annotated[
    bool,
    typer.Option("--no-install", envvar="ROSK_NO_INSTALL", help="Never install or start anything on this machine."),
]


@app.callback(invoke_without_command=True)
def rosk(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    """Builds, proves and publishes custom Linux kernels for container operating systems."""
    if version:
        print(f"rosk {__version__}")
        raise typer.Exit


@app.command()
def build(
    project: ProjectOption = Path(),
    kernel: KernelOption = None,
    arch: ArchOption = None,
    push: Annotated[bool, typer.Option("--push", help="Push the images when all is built.")] = False,
    registry: RegistryOption = None,
    strict: StrictOption = False,
    no_install: NoInstallOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and warnings only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print the whole log.")] = False,
) -> None:
    """Build the kernel: packages to dist/kernel, images to the engine, and with --push to the registries."""
    from builder.run import BuildOptions, run_build  # noqa: PLC0415 - the engine's client is slow to import

    loaded = load_project(project, kernel=kernel, arch=arch, registries=registry or (), strict=strict)
    options = BuildOptions(
        push=push,
        allow_install=not no_install,
        quiet=quiet,
        verbose=verbose,
        command=reproducer(loaded, strict=strict),
    )
    run_build(loaded, options)


@app.command()
def plan(
    project: ProjectOption = Path(),
    kernel: KernelOption = None,
    arch: ArchOption = None,
    registry: RegistryOption = None,
    strict: StrictOption = False,
    bake: Annotated[bool, typer.Option("--bake", help="Print the bake file for `docker buildx bake`.")] = False,
) -> None:
    """Print the graph and the settings as resolved, without building and without an engine."""
    from builder.plan import bake_text, plan_text  # noqa: PLC0415

    loaded = load_project(project, kernel=kernel, arch=arch, registries=registry or (), strict=strict)
    if bake:
        print(bake_text(loaded))
    else:
        Console(highlight=False, soft_wrap=True, emoji=False).print(plan_text(loaded))


@app.command()
def setup(project: ProjectOption = Path(), no_install: NoInstallOption = False) -> None:
    """Get what building needs: an engine that answers, and the base image. `rosk build` does this by itself."""
    from builder.run import prepare  # noqa: PLC0415

    toolchain = load_project(project).settings.toolchain
    _, base = prepare(toolchain.suite, toolchain.base, allow_install=not no_install, note=print)
    print(f"ready: base image {base.ref} ({base.origin})")


@app.command()
def doctor() -> None:
    """Say what this machine lacks for building, and how to get it."""
    from builder.doctor import examine  # noqa: PLC0415

    findings = examine()
    console = Console(highlight=False, soft_wrap=True, emoji=False)
    for finding in findings:
        console.print(finding.text)
    if any(finding.fatal for finding in findings):
        raise typer.Exit(EngineError.exit_code)


def reproducer(project: Project, *, strict: bool) -> tuple[str, ...]:
    """The command that builds the same again, from the project's folder."""
    command = ["rosk", "build", "--arch", project.arch.name]
    if project.source.version is not None:
        command += ["--kernel", project.source.version]
    return tuple([*command, "--strict"] if strict else command)
