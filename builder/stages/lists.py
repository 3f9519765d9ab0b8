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
        return is_pattern(self.path)

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


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is wrong with one line of a list.

    Attributes:
        entry: The line.
        kind: `malformed` (no path below the kind's root), `duplicate` (an earlier line has it) or `in-both`.
        what, hint: One line each: what is wrong, and what to do.
    """

    entry: Entry
    kind: str
    what: str
    hint: str


def parse_list(data: bytes | str, where: str, kind: Kind = MODULES) -> list[Entry]:
    """Read a list that has to be right; see `read_list` for the arguments.

    Raises:
        StageError: A line is not a path below the kind's root, or is there twice. The first such line is `where` and
            `line`; the others are in the details.
    """
    entries, problems = read_list(data, where, kind)
    _raise(problems)
    return entries


def read_list(data: bytes | str, where: str, kind: Kind = MODULES) -> tuple[list[Entry], list[Problem]]:
    """Read a list: its lines that are right, and what is wrong with the others, in the order of the file.

    Args:
        data: The file's content.
        where: What to call the file in errors (`lists/modules.list`).
        kind: Whether it lists modules or firmware.

    Raises:
        StageError: It is not a text.
    """
    try:
        text = data if isinstance(data, str) else data.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise StageError("this list is not a text file", hint=f"write one path a line, as {kind.example}", where=where)
    entries: dict[str, Entry] = {}
    problems = []
    for number, row in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        path = COMMENT.sub("", row).strip()
        if not path:
            continue
        entry = Entry(path=path, where=where, line=number)
        if wrong := problem(path, kind):
            problems.append(Problem(entry=entry, kind="malformed", what=wrong[0], hint=wrong[1]))
        elif first := entries.get(path):
            what = f"{path} is listed twice, first in line {first.line}"
            problems.append(Problem(entry=entry, kind="duplicate", what=what, hint="remove one of the two"))
        else:
            entries[path] = entry
    return list(entries.values()), problems


def check_disjoint(main: Sequence[Entry], extra: Sequence[Entry]) -> None:
    """Refuse a line that the lists of both packages have.

    Raises:
        StageError: Placed at the line of the second list.
    """
    _raise(in_both(main, extra))


def in_both(main: Sequence[Entry], extra: Sequence[Entry]) -> list[Problem]:
    """The lines of the second list that the first one has too."""
    places = {entry.path: entry.place for entry in main}
    return [
        Problem(
            entry=entry,
            kind="in-both",
            what=f"{entry.path} is in both lists, also at {places[entry.path]}",
            hint="keep it in one of the two",
        )
        for entry in extra
        if entry.path in places
    ]


def is_pattern(path: str) -> bool:
    """Whether a line can name more than one file."""
    return any(char in path for char in "*?[")


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


def problem(path: str, kind: Kind = MODULES) -> tuple[str, str] | None:
    """What is wrong with a path or pattern and what to do, or None."""
    example = f"write it as under {kind.root}, for example {kind.example}"
    if path.startswith("/"):
        return f"{path} is an absolute path", example
    if ".." in path.split("/"):
        return f"{path} leaves the folder with `..`", example
    if path.startswith(kind.root.split("<", maxsplit=1)[0]):
        return f"{path} starts with {kind.root}", example
    if path.endswith("/"):
        return f"{path} is a folder", f"for all below it write {path}**"
    if path and posixpath.normpath(path) != path:
        return f"{path} is not in its plain form", f"write {posixpath.normpath(path)}"
    return _name_problem(path, kind)


def _name_problem(path: str, kind: Kind) -> tuple[str, str] | None:
    """The same for how a path ends, and for a pattern."""
    if is_pattern(path):  # to compile what has nothing of one, line by line, takes a while
        try:
            pattern(path)
        except re.error as error:
            return f"{path} is not a pattern: {error.msg}", "for all in a folder write FOLDER/*"
    if path.endswith((kind.suffix, "*")):
        return None
    plain = re.sub(r"\.ko\.(gz|xz|zst)$", ".ko", path)
    hint = f"write {plain}" if plain != path else f"name the module's file, for example {kind.example}"
    return f"{path or 'an empty text'} is not a module's path", hint


def _raise(problems: Sequence[Problem]) -> None:
    """Raise the first problem, if there is one, with the others as its details."""
    if problems:
        first, *others = problems
        raise StageError(
            first.what,
            hint=first.hint,
            where=first.entry.where,
            line=first.entry.line,
            details=[f"line {other.entry.line}: {other.what}" for other in others],
        )
