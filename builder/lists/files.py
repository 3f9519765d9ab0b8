"""The list files of a project: found, read with all their mistakes, and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os.path import lexists
from pathlib import Path
from typing import Protocol

from builder.choice import choose
from builder.errors import InputError
from builder.files import file_errors, replace_files
from builder.inputs.check import as_input_error, no_file, within
from builder.lists.model import Finding, Texts, read_texts
from builder.project import SETTINGS_FILE
from builder.settings import load_settings
from builder.stages.lists import MODULES, Kind
from builder.stages.split import EXTRA_LIST, MAIN_LIST


class Named(Protocol):
    """The texts of list files, by their names in the build context."""

    def of(self, name: str) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Files:
    """The list files of a project: name in the build context to file, and the folder that messages start from."""

    root: Path
    inputs: Mapping[str, Path]

    def name(self, where: str | None) -> str | None:
        """What a list is called in messages."""
        return None if where is None else str(within(self.inputs[where], self.root))

    def rename(self, text: str) -> str:
        """A text with the project's names for the lists."""
        for name, path in self.inputs.items():
            text = text.replace(name, str(within(path, self.root)))
        return text

    def rename_finding(self, finding: Finding) -> Finding:
        """A finding in which the lists have their names of the project."""
        where, what, hint = self.name(finding.where), self.rename(finding.what), self.rename(finding.hint)
        return replace(finding, where=where, what=what, hint=hint)

    def read(self) -> Texts:
        """The two lists.

        Raises:
            InputError: One is no text, or cannot be read.
        """
        main, extra = (read_text(self.inputs[name]) for name in (MAIN_LIST, EXTRA_LIST))
        with as_input_error(self.inputs, self.root):
            return read_texts(main, extra)

    def write(self, before: Named, after: Named) -> None:
        """Write the lists that changed: each whole or not at all, and none before all are on the disk.

        Raises:
            InputError, NoSpaceError: They cannot be written.
        """
        changed = [name for name in self.inputs if after.of(name) != before.of(name)]
        folder = self.root / "lists"
        with file_errors(folder, name="lists", full="make room there", refused="see that it can be written"):
            # What a link points to: it stays one.
            replace_files({self.inputs[name].resolve(): after.of(name).encode() for name in changed})


def find_files(
    root: Path,
    arch: str | None = None,
    flavour: str | None = None,
    *,
    names: Sequence[str] = (MAIN_LIST, EXTRA_LIST),
    needed: bool = True,
) -> Files:
    """Lists of a project's kernel.

    Args:
        root: The project's folder.
        arch, flavour: As for `builder.project.load_project`.
        names: Which, by their names in the build context.
        needed: Each of them has to be there; else one that is not has its place among the project's lists.

    Raises:
        InputError: There is no such kernel, or no such file.
    """
    root = root.resolve()
    settings = load_settings(root / SETTINGS_FILE)
    chosen = choose(settings, arch=arch, flavour=flavour)
    there = chosen.lists(root, settings)
    folder = root / "lists" / chosen.arch.name
    inputs = {name: there.get(name, folder / Path(name).name) for name in names}
    for path in inputs.values():
        if not path.is_file() and (needed or lexists(path)):
            raise no_file(path, f"a project for {chosen.arch.name} needs it" if needed else "it may be left out")
    return Files(root=root, inputs=inputs)


def read_text(path: Path, kind: Kind = MODULES) -> str:
    """The text of a list.

    Args:
        kind: What it lists.

    Raises:
        InputError: It is no text, or cannot be read.
    """
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        hint = f"write one path a line, as {kind.example}"
        raise InputError("this list is not a text file", where=path, hint=hint) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=path) from error
