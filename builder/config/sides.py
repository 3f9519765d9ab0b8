"""What `rosk config diff` can compare: defaults, projects, releases, files, and the kernel that runs."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from builder.config.ask import CONFIG, ConfigOptions, ask
from builder.config.model import Answer, values_of
from builder.errors import InputError
from builder.project import SETTINGS_FILE, Project, load_project
from builder.releasefolder import ReleaseFolder, find_release
from builder.stages.common import StageError
from builder.stages.dotconfig import is_full, parse_config
from builder.verify.unpack import read_package

LIMIT = 16 << 20
"""Bytes of a config; a whole one has a quarter of a million."""

WORDS = {
    "project": "the project's config, as it comes out",
    "defaults": "Kconfig's own defaults for the project's kernel and architecture",
    "defconfig": "the architecture's defconfig of the project's kernel",
    "running": "the kernel that runs on this machine",
}


@dataclass(frozen=True, kw_only=True)
class Side:
    """One config of a comparison: what it is, and its values by option, without what is off."""

    name: str
    values: Mapping[str, str]


class Sides:
    """Finds configs; the project is asked of the engine once, and only when that is needed."""

    def __init__(self, options: ConfigOptions) -> None:
        self.options = options

    @cached_property
    def project(self) -> Project:
        return self.options.project()

    @cached_property
    def answer(self) -> Answer:
        return ask(self.project, self.options.asking)

    def find(self, word: str) -> Side:
        """The config that a word names: one of `WORDS`, or a path.

        Raises:
            InputError: There is none, or it is no config.
            RoskError: The engine cannot be asked for it.
        """
        if word in ("project", "defaults", "defconfig"):
            return self._of_project(word)
        if word == "running":
            return self._read(running())
        path = Path(word)
        if path.is_dir():
            return self._folder(path)
        if not path.exists():
            raise InputError("there is no such file or folder", where=path, hint=f"or name one of {', '.join(WORDS)}")
        return self._folder(path.parent) if path.name == "manifest.json" else self._read(path)

    def _of_project(self, word: str) -> Side:
        facts, config = self.answer.facts, self.answer.config
        if word == "project":
            return Side(name=f"{self.project.root.name} ({facts.version})", values=config.values)
        values = facts.defaults if word == "defaults" else facts.defconfig
        if values is None:
            raise InputError("this kernel has no defconfig for the architecture", hint="compare with `defaults`")
        return Side(name=f"{word} of Linux {facts.version}", values=values)

    def _folder(self, folder: Path) -> Side:
        if (folder / SETTINGS_FILE).is_file():
            if folder.resolve() == self.options.root.resolve():
                return self._of_project("project")
            other = load_project(folder, arch=self.options.arch, flavour=self.options.flavour)
            answer = ask(other, self.options.asking)
            return Side(name=f"{folder} ({answer.facts.version})", values=answer.config.values)
        release = find_release(folder)
        file = release.file("config")
        text = read_text(file) if file.is_file() else _packed(release)
        return Side(name=f"release {release.v}", values=_values(text, file))

    def _read(self, path: Path) -> Side:
        text = read_text(path)
        values = _values(text, path)
        if is_full(text, parse_config(text, str(path))):
            return Side(name=str(path), values=values)
        # A minimal one says little by itself: what it comes to on the project's kernel is compared.
        plain = {name: file for name, file in self.project.inputs.items() if not name.startswith("config/fragments/")}
        answer = ask(replace(self.project, inputs=plain), self.options.asking, {CONFIG: text})
        return Side(name=f"{path} (on {answer.facts.version})", values=answer.config.values)


def running() -> Path:
    """The config of the kernel that runs: its own copy, else the one that its package left in /boot.

    Raises:
        InputError: There is none.
    """
    boot = Path(f"/boot/config-{os.uname().release}")
    for path in (Path("/proc/config.gz"), boot):
        if path.is_file():
            return path
    raise InputError(
        "the running kernel shows no config",
        where="/proc/config.gz",
        hint=f"it takes CONFIG_IKCONFIG_PROC (`modprobe configs` where it is a module), or {boot}",
    )


def read_text(path: Path) -> str:
    """The text of a config, also of one that is compressed with gzip.

    Raises:
        InputError: It cannot be read, or is no config by its size or its bytes.
    """
    try:
        with path.open("rb") as file:  # once: a pipe gives its bytes to the first one only
            compressed = file.peek(2).startswith(b"\x1f\x8b")
            data = gzip.GzipFile(fileobj=file).read(LIMIT + 1) if compressed else file.read(LIMIT + 1)
        if len(data) > LIMIT:
            raise InputError("it is too large for a kernel config", where=path, hint="is it the right file?")
        return data.decode()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"it cannot be read: {error}", where=path, hint="is it the right file?") from error
    except UnicodeDecodeError as error:
        raise InputError("it is not text", where=path, hint="give a .config, or one with gzip") from error


def _values(text: str, path: Path) -> dict[str, str]:
    try:
        return values_of(text, str(path))
    except StageError as error:
        raise InputError(error.what, where=path, line=error.line, hint=error.hint) from error


def _packed(release: ReleaseFolder) -> str:
    """The config in a kernel package."""
    with TemporaryDirectory(prefix="rosk-config-") as folder:
        contents = read_package(release.packages["kernel"], Path(folder))
        file = Path(folder, f"boot/config-{release.v}")
        if contents.damage or not file.is_file():
            raise InputError(
                f"there is no config of the release {release.v}: {contents.damage or f'no boot/{file.name}'}",
                where=release.packages["kernel"],
                hint="a kernel package has boot/config-V, and rosk writes kernel/config beside it",
            )
        return read_text(file)
