"""Options that several commands have, and what is checked of them before anything else."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from builder.choice import choose
from builder.errors import InputError
from builder.project import SETTINGS_FILE, Project
from builder.settings import load_settings


class EngineName(StrEnum):
    """What builds."""

    DOCKER = "docker"
    BUILDAH = "buildah"


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
FlavourOption = Annotated[
    str | None,
    typer.Option(
        "--flavour",
        metavar="NAME",
        help="One of the settings' flavours.",
        show_default="the first, if any",
    ),
]
OnlyArchOption = Annotated[
    str | None,
    typer.Option("--arch", help="Only for this package architecture: x86 or arm64.", show_default="all of the project"),
]
OnlyFlavourOption = Annotated[
    str | None,
    typer.Option(
        "--flavour",
        metavar="NAME",
        help="Only this one of the settings' flavours.",
        show_default="all of the project",
    ),
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
BuilderOption = Annotated[
    str | None,
    typer.Option(
        "--builder",
        envvar="ROSK_BUILDER",
        metavar="NAME",
        help="Solve with this builder of buildx, remote or clustered ones included.",
        show_default="the engine's own",
    ),
]
EngineOption = Annotated[
    EngineName,
    typer.Option(
        "--engine",
        envvar="ROSK_ENGINE",
        help="docker: an engine with buildx; buildah: no daemon at all, as root; the packages are the same.",
    ),
]
CacheFromOption = Annotated[
    list[str] | None,
    typer.Option(
        "--cache-from",
        metavar="CACHE",
        help="Take finished stages from there: a reference in a registry, a folder (./path), or BuildKit's type=….",
    ),
]
CacheToOption = Annotated[
    list[str] | None, typer.Option("--cache-to", metavar="CACHE", help="Put finished stages there, in the same forms.")
]
ScopeOption = Annotated[
    str,
    typer.Option(
        "--cache-scope",
        envvar="ROSK_CACHE_SCOPE",
        metavar="WORD",
        help="Keep object trees and compiler results apart from builds of another scope.",
        show_default=False,
    ),
]
KeyOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--key",
        metavar="FILE",
        help="A public key that must have signed it, or one of several.",
        show_default="trust.keys of the project",
    ),
]
AllowUnsignedOption = Annotated[
    bool, typer.Option("--allow-unsigned", help="Take also a release that nobody has signed.")
]
AllowUncheckedOption = Annotated[
    bool, typer.Option("--allow-unchecked", help="Pass also when a check could not be done, for want of a program.")
]
DistArgument = Annotated[
    Path | None,
    typer.Argument(metavar="DIST", help="The folder of a release.", show_default="dist of the project"),
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Print the log of the engine.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


def check_scope(word: str) -> str:
    """The scope, once it can be part of a cache mount's name.

    Raises:
        InputError: It cannot.
    """
    if not re.fullmatch(r"[a-z0-9]*(?:-[a-z0-9]+)*", word) or len(word) > 40:
        raise InputError(
            f"{word!r} is no cache scope", hint="give --cache-scope a word of a-z, 0-9 and single -, at most 40 long"
        )
    return word


def release_folder(dist: Path | None, project: Path, *, arch: str | None, flavour: str | None) -> Path:
    """The folder of the release that a command looks at: the one that is named, else that of the kernel which is meant.

    Raises:
        InputError: There is no such kernel in the project; or a folder is named, and an option beside it.
    """
    if dist is not None:
        if arch is not None or flavour is not None:
            raise InputError(f"{dist} says which release is meant", hint="leave out --arch and --flavour")
        return dist
    if (arch, flavour) == (None, None) and not (project / SETTINGS_FILE).is_file():
        return project / "dist"
    settings = load_settings(project / SETTINGS_FILE)
    return choose(settings, arch=arch, flavour=flavour).dist(project, settings)


def reproducer(project: Project, *, strict: bool) -> tuple[str, ...]:
    """The command that builds the same again, from the project's folder."""
    command = ["rosk", "build", "--arch", project.arch.name]
    if project.flavour is not None:
        command += ["--flavour", project.flavour]
    if project.source.version is not None:
        command += ["--kernel", project.source.version]
    return tuple([*command, "--strict"] if strict else command)
