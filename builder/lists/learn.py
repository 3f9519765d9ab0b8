"""What a `rosk lists` command learns of a project's kernel, and with what: the last release, and an engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from builder.lists.model import Kernel, Policy
from builder.lists.source import Foreseen, join, read_foreseen, read_release
from builder.project import Project

if TYPE_CHECKING:
    from builder.question import Asking


@dataclass(frozen=True, kw_only=True)
class ListOptions:
    """What all three commands have.

    Attributes:
        root: The project's folder.
        kernel, arch, flavour: As of `builder.project.load_project`.
        engine: Ask the engine; else only the release in dist counts.
        allow_install: What is missing on this machine may be installed and started.
        builder: A builder of buildx to solve with.
        as_json: Print one JSON object, and nothing else on standard output.
        verbose: Print the log of what the engine does, on standard error.
    """

    root: Path
    kernel: str | None = None
    arch: str | None = None
    flavour: str | None = None
    engine: bool = True
    allow_install: bool = True
    builder: str | None = None
    as_json: bool = False
    verbose: bool = False

    @property
    def asking(self) -> Asking:
        """How the engine is asked."""
        from builder.question import Asking  # noqa: PLC0415 - with --no-engine nothing of it is needed

        return Asking(allow_install=self.allow_install, builder=self.builder, verbose=self.verbose)


def policy_of(project: Project) -> Policy:
    """What a project's settings say of its lists."""
    lists = project.settings.lists
    external: dict[str, list[str]] = {}
    for module in project.settings.modules:
        external.setdefault(module.install, []).append(module.name)
    return Policy(unlisted=lists.unlisted, softdeps=lists.softdeps, rules=lists.rules, external=external)


def learn(project: Project, options: ListOptions) -> Kernel:
    """What there is to know of the project's modules, without a compile.

    Raises:
        RoskError: See `builder.lists.source`.
    """
    released = read_release(project.dist, project.arch.name)
    foreseen = ask_engine(project, options) if options.engine else None
    return join(foreseen, released, project.dist)


def ask_engine(project: Project, options: ListOptions) -> Foreseen:
    """Ask the engine which modules the project's config makes.

    Raises:
        RoskError: The engine, a source or the config failed; see `builder.question`.
    """
    from builder.question import questioner  # noqa: PLC0415 - with --no-engine nothing of it is needed

    with questioner(project, options.asking, dockerfiles=("lists.Dockerfile",)) as asked:
        return read_foreseen(asked.answer("lists"))
