"""The lists of a project: which modules and which firmware go in which package.

One path or pattern a line, `/` between folders; `#` starts a comment at the start of a line or after a blank.
Patterns: `*` and `?` stay within one folder, `**` crosses folders, `[ab]` is one of the characters; a line of only
`*` means everything.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from builder.stages.common import StageError

COMMENT = re.compile(r"(?:^|\s)#.*$")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a list is about: where its paths start, an example, and how a path that is no pattern ends."""

    root: str
    example: str
    suffix: str = ""


MODULES = Kind(root="lib/modules/<release>/", example="kernel/fs/overlayfs/overlay.ko", suffix=".ko")
FIRMWARE = Kind(root="lib/firmware/", example="rtl_nic/rtl8168h-2.fw")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of a list.

    Attributes:
        path: The path or pattern as written.
        where: The list, as a path of the build context (`lists/modules.list`).
        line: The 1-based line.
    """

    path: str
    where: str
    line: int

    @property
    def is_pattern(self) -> bool:
        """Whether it can name more than one file."""
        return any(char in self.path for char in "*?[")

    @property
    def place(self) -> str:
        """`file:line`."""
        return f"{self.where}:{self.line}"

    def select(self, paths: Iterable[str]) -> list[str]:
        """Those of `paths` that this line names."""
        if not self.is_pattern:
            return [path for path in paths if path == self.path]
        matches = pattern(self.path).fullmatch
        return [path for path in paths if matches(path)]


def parse_list(data: bytes | str, where: str, kind: Kind = MODULES) -> list[Entry]:
    """Read a list.

    Args:
        data: The file's content.
        where: What to call the file in errors (`lists/modules.list`).
        kind: Whether it lists modules or firmware.

    Raises:
        StageError: A line is not a path below the kind's root, or is there twice. The first such line is `where` and
            `line`; the others are in the details.
    """
    try:
        text = data if isinstance(data, str) else data.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise StageError("this list is not a text file", hint=f"write one path a line, as {kind.example}", where=where)
    entries: dict[str, Entry] = {}
    errors = []
    for number, row in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        path = COMMENT.sub("", row).strip()
        if not path:
            continue
        entry = Entry(path=path, where=where, line=number)
        if problem := _problem(path, kind):
            errors.append(_error(entry, *problem))
        elif first := entries.get(path):
            errors.append(_error(entry, f"{path} is listed twice, first in line {first.line}", "remove one of the two"))
        else:
            entries[path] = entry
    _raise(errors)
    return list(entries.values())


def check_disjoint(main: Sequence[Entry], extra: Sequence[Entry]) -> None:
    """Refuse a line that the lists of both packages have.

    Raises:
        StageError: Placed at the line of the second list.
    """
    places = {entry.path: entry.place for entry in main}
    _raise(
        [
            _error(entry, f"{entry.path} is in both lists, also at {places[entry.path]}", "keep it in one of the two")
            for entry in extra
            if entry.path in places
        ]
    )


def pattern(glob: str) -> re.Pattern[str]:
    """The regular expression of a pattern; for `fullmatch`."""
    if glob == "*":
        return re.compile(".*")
    out = []
    for token in re.findall(r"(?:(?<=/)|^)\*\*/|\*\*|\[!?\]?[^]/]*\]|.", glob):
        if token == "**/":
            out.append("(?:.*/)?")
        elif token == "**":
            out.append(".*")
        elif token == "*":
            out.append("[^/]*")
        elif token == "?":
            out.append("[^/]")
        elif len(token) > 1:
            negated = token[1] == "!"
            chars = token[2 if negated else 1 : -1].replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
            out.append(f"[{'^/' if negated else ''}{chars}]")
        else:
            out.append(re.escape(token))
    return re.compile("".join(out))


def _problem(path: str, kind: Kind) -> tuple[str, str] | None:
    """What is wrong with a line and what to do, or None."""
    example = f"write it as under {kind.root}, for example {kind.example}"
    if path.startswith("/"):
        return f"{path} is an absolute path", example
    if ".." in path.split("/"):
        return f"{path} leaves the folder with `..`", example
    if path.startswith(kind.root.split("<", maxsplit=1)[0]):
        return f"{path} starts with {kind.root}", example
    if path.endswith("/"):
        return f"{path} is a folder", f"for all below it write {path}**"
    if posixpath.normpath(path) != path:
        return f"{path} is not in its plain form", f"write {posixpath.normpath(path)}"
    return _name_problem(path, kind)


def _name_problem(path: str, kind: Kind) -> tuple[str, str] | None:
    """The same for how a path ends, and for a pattern."""
    try:
        pattern(path)
    except re.error as error:
        return f"{path} is not a pattern: {error.msg}", "for all in a folder write FOLDER/*"
    if path.endswith((kind.suffix, "*")):
        return None
    plain = re.sub(r"\.ko\.(gz|xz|zst)$", ".ko", path)
    hint = f"write {plain}" if plain != path else f"name the module's file, for example {kind.example}"
    return f"{path} is not a module's path", hint


def _error(entry: Entry, what: str, hint: str) -> StageError:
    return StageError(what, hint=hint, where=entry.where, line=entry.line)


def _raise(errors: Sequence[StageError]) -> None:
    """Raise the first error, if there is one, with the others as its details."""
    if not errors:
        return
    errors[0].details = [f"line {error.line}: {error.what}" for error in errors[1:]]
    raise errors[0]
