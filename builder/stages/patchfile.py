"""Read a patch file and say what it touches, without applying it.

Knows the unified format of `diff -u` and git's extended headers (new, deleted, renamed, copied, mode changes), as
GNU patch applies them with `-p1`. Text around the diffs (a mail, a commit message) is passed over.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.stages.common import StageError

_HUNK = re.compile(rb"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_GIT_PATH = re.compile(rb"(?:rename|copy) (?:from|to) (.+)")
GIT_HEADER = re.compile(
    rb"(old mode|new mode|deleted file mode|new file mode|copy from|copy to|rename from|rename to|similarity index"
    rb"|dissimilarity index|index) "
)
_ANY_NAME = re.compile(
    rb"^(?:---|\+\+\+|\*\*\*|Index:|diff --git|(?:rename|copy) (?:from|to))[ \t]+(.*)$", re.MULTILINE
)
_NO_FILE = "/dev/null"


@dataclass(frozen=True, kw_only=True)
class FilePatch:
    """What a patch does to one file.

    Attributes:
        path: The file, as under the tree's top (the new name of a renamed file, the old one of a deleted file).
        line: The 1-based line in the patch at which its header starts.
        hunks: The line of each of its hunks; none for a mere rename or mode change.
        end: The line that it ends with.
    """

    path: str
    line: int
    hunks: tuple[int, ...]
    end: int


def check_patch(content: bytes | str, name: str) -> list[str]:
    """The files that a patch touches, in its order, once each. See `parse_patch` for the errors."""
    data = content.encode() if isinstance(content, str) else content
    return list(dict.fromkeys(file.path for file in parse_patch(data, name)))


def parse_patch(content: bytes, name: str) -> list[FilePatch]:
    """The parts of a patch.

    Args:
        content: The patch file's bytes.
        name: Its name in the build context (`patches/a.patch`), for errors.

    Raises:
        StageError: (with the line) It is empty, holds no diff, is binary, is cut off, or names a file outside of the
            tree.
    """
    if not content.strip():
        raise StageError("the patch is empty", hint="delete it, or put the patch in it", where=name, line=1)
    files = _Reader(content, name).read()
    if not files:
        raise StageError(
            "the patch holds no unified diff",
            hint="make it with `git format-patch`, `git diff` or `diff -u`",
            where=name,
            line=1,
        )
    return files


def without_text(content: bytes, parts: Sequence[FilePatch]) -> bytes:
    """A patch with empty lines for the text around its parts, in which GNU patch would find more to apply.

    It takes back an indented diff, as a commit message may quote one, and reads `Prereq:` and `Index:` lines.
    """
    lines = content.split(b"\n")
    meant = {at for part in parts for at in range(part.line - 1, part.end)}
    return b"\n".join(line if at in meant else b"" for at, line in enumerate(lines))


def named_paths(content: bytes) -> set[str] | None:
    """Every path that GNU patch with `-p1` can take a name in a patch for, as under the tree, and maybe others.

    None when there are quoted names among them.
    """
    found: set[str] = set()
    for match in _ANY_NAME.finditer(content):
        text = match[1].rstrip(b"\r")
        if b'"' in text:
            return None
        # A name ends with a tab, or with the space before a time or another name.
        ends = [at for at, byte in enumerate(text) if byte in b"\t "] + [len(text)]
        starts = [0, *(at + 1 for at in ends[:-1])] if match[0].startswith(b"diff") else [0]
        names = {os.fsdecode(text[start:end]) for start in starts for end in ends if start < end}
        found |= names | {name.partition("/")[2].lstrip("/") for name in names}
    plain = {os.path.normpath(path) for path in found if path and "\0" not in path and not path.startswith("/")}
    return {path for path in plain if not path.startswith("..")}  # what leads out of the tree is none of its files


def real_name(tree: Path, name: str) -> str:
    """A name without links among its folders, which GNU patch follows as long as they stay in the tree."""
    path = tree / name
    folder = path.parent.resolve()
    top = tree.resolve()
    return f"{folder.relative_to(top)}/{path.name}".removeprefix("./") if folder.is_relative_to(top) else name


class _Reader:
    """Goes through the lines of one patch file."""

    def __init__(self, content: bytes, name: str) -> None:
        self.lines = [line.rstrip(b"\r") for line in content.split(b"\n")]
        self.name = name
        self.at = 0

    def fail(self, what: str, hint: str, line: int | None = None) -> StageError:
        return StageError(what, hint=hint, where=self.name, line=self.at + 1 if line is None else line)

    def read(self) -> list[FilePatch]:
        files = []
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if line.startswith(b"diff --git "):
                files.append(self.git_file())
            elif self.at_file():
                start = self.at + 1
                path = self.names()
                files.append(FilePatch(path=path, line=start, hunks=self.hunks(), end=self.at))
            elif _HUNK.match(line):
                raise self.fail("a hunk follows no `---` and `+++` lines", "make the patch again with `git diff`")
            else:
                self.refuse_binary(line)
                self.at += 1
        return files

    def at_file(self) -> bool:
        pair = self.lines[self.at : self.at + 2]
        return len(pair) == 2 and pair[0].startswith(b"--- ") and pair[1].startswith(b"+++ ")

    def git_file(self) -> FilePatch:
        """One `diff --git` part: its extended headers, then perhaps names and hunks."""
        start = self.at + 1
        path = self.git_names()
        self.at += 1
        while self.at < len(self.lines) and GIT_HEADER.match(self.lines[self.at]):
            renamed = _GIT_PATH.match(self.lines[self.at])
            if renamed:
                path = self.checked(renamed[1], strip=False)
            self.at += 1
        if self.at < len(self.lines):
            self.refuse_binary(self.lines[self.at])
        hunks: tuple[int, ...] = ()
        if self.at < len(self.lines) and self.at_file():
            path = self.names()
            hunks = self.hunks()
        return FilePatch(path=path, line=start, hunks=hunks, end=self.at)

    def git_names(self) -> str:
        """The path in `diff --git a/P b/P`: the two are the same but for a rename, whose own lines follow."""
        names = self.lines[self.at].removeprefix(b"diff --git ")
        quoted = re.findall(rb'"(?:[^"\\]|\\.)*"', names)
        if quoted:
            return [self.checked(word) for word in quoted][-1]
        words = names.split(b" ")
        half = len(words) // 2
        return [self.checked(b" ".join(part)) for part in (words[:half], words[half:]) if part][-1]

    def names(self) -> str:
        """The path in a pair of `---` and `+++` lines; leaves the reader behind them."""
        paths = []
        for prefix in (b"--- ", b"+++ "):
            word = self.lines[self.at].removeprefix(prefix).split(b"\t")[0].strip()
            paths.append(self.checked(word))
            self.at += 1
        old, new = paths
        if old == new == _NO_FILE:
            raise self.fail("both names of a file are /dev/null", "make the patch again with `git diff`", self.at)
        return old if new == _NO_FILE else new

    def checked(self, word: bytes, *, strip: bool = True) -> str:
        """A path as patch sees it after `-p1`."""
        if word.startswith(b'"') and word.endswith(b'"'):
            try:
                word = codecs.escape_decode(word[1:-1])[0]
            except ValueError as error:
                what = f"a quoted name is malformed: {os.fsdecode(word)}"
                raise self.fail(what, "make the patch again with `git diff`") from error
        path = word.decode(errors="surrogateescape")
        if path == _NO_FILE:
            return path
        if path.startswith("/") or ".." in path.split("/"):
            raise self.fail(
                f"the patch reaches out of the kernel tree: {path}",
                "a patch names its files as a/PATH and b/PATH, with PATH from the tree's top",
            )
        if not strip:
            return path
        stripped = path.partition("/")[2].lstrip("/")
        if not stripped:
            raise self.fail(
                f"{path} has no leading folder, but patches are applied with -p1",
                "make the patch with `git diff`, or from the folder above the tree",
            )
        return stripped

    def hunks(self) -> tuple[int, ...]:
        """The lines of the hunks from here on; leaves the reader behind the last of them."""
        found = []
        while self.at < len(self.lines) and (head := _HUNK.match(self.lines[self.at])):
            found.append(self.at + 1)
            self.hunk_body(*(1 if count is None else int(count) for count in head.groups()))
        if not found:
            raise self.fail("a file's `---` and `+++` lines are followed by no hunk", "make the patch again")
        return tuple(found)

    def hunk_body(self, old: int, new: int) -> None:
        start = self.at + 1
        self.at += 1
        while old > 0 or new > 0:
            mark = self.lines[self.at][:1] if self.at < len(self.lines) else None
            # The file's last newline leaves an empty last item, which is no context line.
            if mark is None or (mark == b"" and self.at == len(self.lines) - 1):
                raise self.fail("the patch is cut off in the middle of a hunk", "get the whole patch", start)
            if mark in (b" ", b"-", b""):
                old -= 1
            if mark in (b" ", b"+", b""):
                new -= 1
            if mark not in (b" ", b"-", b"+", b"", b"\\") or old < 0 or new < 0:
                raise self.fail(
                    "the hunk is malformed: its lines are not as many as its `@@` line says", "make it again"
                )
            self.at += 1
        while self.at < len(self.lines) and self.lines[self.at].startswith(b"\\"):
            self.at += 1

    def refuse_binary(self, line: bytes) -> None:
        if line == b"GIT binary patch" or re.match(rb"Binary files .* differ$", line):
            raise self.fail(
                "the patch changes a binary file, which patch cannot do",
                "put the file in with a hook script instead",
            )
