"""What a `rosk config` command is given, and how it asks the engine what a config comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from builder.config.model import Answer, read_answer
from builder.errors import InputError
from builder.project import Project, load_project
from builder.question import Asking, questioner

DOCKERFILE = "config.Dockerfile"
CONFIG = "config/kernel-config"
"""The project's config, by its name in the build context."""


@dataclass(frozen=True, kw_only=True)
class ConfigOptions:
    """What all commands have.

    Attributes:
        root: The project's folder.
        kernel, arch, flavour: As of `builder.project.load_project`.
        asking: How the engine is asked.
        as_json: Print one JSON object, and nothing else on standard output.
    """

    root: Path
    kernel: str | None = None
    arch: str | None = None
    flavour: str | None = None
    asking: Asking = field(default_factory=Asking)
    as_json: bool = False

    def project(self) -> Project:
        return load_project(self.root, kernel=self.kernel, arch=self.arch, flavour=self.flavour)


def ask(project: Project, asking: Asking, texts: Mapping[str, str] | None = None) -> Answer:
    """What a project's config comes to.

    Args:
        texts: Other texts for files of the build context, instead of those on disk.

    Raises:
        RoskError: The engine or the source cannot be had.
    """
    with TemporaryDirectory(prefix="rosk-config-") as temp:
        inputs = dict(project.inputs)
        for number, (name, text) in enumerate((texts or {}).items()):
            inputs[name] = Path(temp, str(number))
            inputs[name].write_text(text)
        # The policies are checked here, each rule of them; a stage that knows none is not run again for them.
        plain = replace(project, inputs=inputs, policies=())
        with questioner(plain, asking, dockerfiles=(DOCKERFILE,)) as asked:
            return read_answer(asked.answer("config"))


def find_file(project: Project, fragment: str | None, *, flavour: str | None = None) -> str:
    """The name in the build context of the file that a command edits.

    Args:
        fragment: A fragment of the settings, by its path or its file's name, or kernel-config by its path. None:
            kernel-config; of a flavour that was named the last of its own fragments, for kernel-config is every one's.
        flavour: The flavour that was named.

    Raises:
        InputError: The settings name no such fragment, or the flavour has none.
    """
    fragments = [name for name in project.inputs if name.startswith("config/fragments/")]
    if fragment is None and flavour is None:
        return CONFIG
    if fragment is None:
        if project.settings.flavours[str(flavour)].fragments:
            return fragments[-1]  # they are merged after the project's
        raise InputError(
            f"the flavour {flavour} has no fragment of its own, and {project.origin(CONFIG)} is every flavour's",
            hint=f"name a file in flavours.{flavour}.fragments, or give --fragment {project.origin(CONFIG)}",
        )
    if fragment == str(project.origin(CONFIG)):
        return CONFIG
    paths = {name: project.inputs[name] for name in fragments}
    for name, path in paths.items():
        if fragment in (str(project.origin(name)), str(path)):
            return name
    named = [name for name, path in paths.items() if path.name == Path(fragment).name and "/" not in fragment]
    if len(named) == 1:
        return named[0]
    known = ", ".join(str(project.origin(name)) for name in fragments)
    raise InputError(
        f"the settings name {'more than one' if named else 'no'} fragment {fragment}",
        hint=f"config.fragments has {known}" if known else "config.fragments has none; add it there first",
    )


def shown(project: Project, where: str) -> str:
    """The project's own name for a file of the build context."""
    return str(project.origin(where) or where)


def console() -> Console:
    """For what a command prints."""
    return Console(highlight=False, emoji=False, soft_wrap=True)
