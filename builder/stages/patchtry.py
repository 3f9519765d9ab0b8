"""Try a patch on a kernel tree and say what GNU patch made of each hunk, without changing the tree.

Only the files that a patch touches are copied to where it is tried; what it makes of them is kept there, and lies over
the tree for the patches after it.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp

from builder.stages.common import run
from builder.stages.patchfile import GIT_HEADER, FilePatch, real_name, without_text

FUZZ = 2
"""The most lines of context that GNU patch itself leaves out of account."""

_PATCH = ("patch", "-p1", "--unified", "--no-backup-if-mismatch", "--reject-file=-")
# --batch with --reverse would put in a patch that is not there; --force does not.
_FORWARD, _BACKWARD = ("--forward", "--batch"), ("--reverse", "--force")
_FILE = re.compile(r"patching (?:file|symbolic link) (.+?)(?: \((?:renamed|copied) from .+\))?$")
_HUNK = re.compile(
    r"Hunk #(?P<number>\d+) (?P<how>succeeded|FAILED) at (?P<at>\d+)"
    r"(?: with fuzz (?P<fuzz>\d+))?(?: \(offset (?P<offset>-?\d+) lines?\))?"
)
_OLD_NAME = re.compile(rb"(?:rename|copy) from (.+)")


@dataclass(frozen=True, kw_only=True)
class Patch:
    """A patch file that was read.

    Attributes:
        name: Its name in the build context (`patches/a.patch`).
        content: Its bytes.
        parts: What it does to each file.
        sources: For each part the file that it starts from: another one for a rename or a copy.
    """

    name: str
    content: bytes
    parts: tuple[FilePatch, ...]
    sources: tuple[str, ...]

    @property
    def files(self) -> frozenset[str]:
        """All files that it reads or writes."""
        return frozenset((*self.sources, *(part.path for part in self.parts)))


def read_parts(content: bytes, name: str, parts: Sequence[FilePatch]) -> Patch:
    """A patch whose parts are known."""
    lines = content.split(b"\n")
    sources = []
    for part in parts:
        # Only what `parse_patch` takes for git's headers: it has checked the names there.
        head = itertools.takewhile(GIT_HEADER.match, lines[part.line : part.end])
        old = [match[1] for match in map(_OLD_NAME.fullmatch, (line.rstrip(b"\r") for line in head)) if match]
        sources.append(_checked(old[0]) if old else part.path)
    return Patch(name=name, content=content, parts=tuple(parts), sources=tuple(sources))


def _checked(name: bytes) -> str:
    """A name as `parse_patch` has checked it, with git's quotes taken off."""
    if name.startswith(b'"') and name.endswith(b'"'):
        name = name[1:-1].decode("unicode_escape").encode("latin-1")
    return name.decode(errors="surrogateescape")


@dataclass(frozen=True, kw_only=True)
class State:
    """A tree with patches on it.

    Attributes:
        tree: The top of the tree, which stays as it is.
        folder: Where patches are tried.
        changed: What is another file than the tree's: its name to where it is now, None for one that is gone.
    """

    tree: Path
    folder: Path
    changed: Mapping[str, Path | None] = field(default_factory=dict)

    def find(self, name: str) -> Path | None:
        """The file of that name, or None."""
        if name in self.changed:
            return self.changed[name]
        path = self.tree / name
        return path if path.is_symlink() or path.is_file() else None

    def content(self, name: str) -> bytes | None:
        """The bytes of the file of that name (a link's target is its own), or None."""
        found = self.find(name)
        if found is None:
            return None
        return os.fsencode(found.readlink()) if found.is_symlink() else found.read_bytes()

    @property
    def pristine(self) -> State:
        return replace(self, changed={})


@dataclass(frozen=True, kw_only=True)
class Hunk:
    """A hunk that does not stand at its very lines, or not at all.

    Attributes:
        file: The file, from the tree's top.
        line: The hunk's line in the patch.
        number: Which one of the file it is, from 1.
        at: The line in the file at which it stands, or was expected.
        offset: So many lines further down than the patch says.
        fuzz: So many lines of context were left out of account.
    """

    file: str
    line: int
    number: int
    at: int
    offset: int = 0
    fuzz: int = 0
    failed: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of trying a patch.

    Attributes:
        state: The tree after it; what it was before when the patch does not apply.
        hunks: Those that do not stand where the patch says.
        printed: What GNU patch printed.
    """

    ok: bool
    state: State
    hunks: tuple[Hunk, ...]
    printed: tuple[str, ...]


def try_patch(state: State, patch: Patch, *, fuzz: int = 0, reverse: bool = False) -> Outcome:
    """Apply a patch, or take it back, in a folder of its own.

    Args:
        fuzz: How many lines of context may differ; 0 is how patches are applied in a build.
    """
    trial = Path(mkdtemp(dir=state.folder))
    names = {real_name(state.tree, name) for name in patch.files}
    for name in sorted(names):
        _place(state, name, trial)
    for name in sorted(patch.files - names):
        _place_links(state.tree, name, trial)
    input = state.folder / "input.patch"
    input.write_bytes(without_text(patch.content, patch.parts))
    argv = [*_PATCH, *(_BACKWARD if reverse else _FORWARD), f"--fuzz={fuzz}", f"--input={input}"]
    done = run(argv, cwd=trial, env={"LC_ALL": "C"}, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    if done.returncode != 0:
        shutil.rmtree(trial)
        return Outcome(ok=False, state=state, hunks=tuple(_hunks(patch, lines)), printed=tuple(lines))
    found = {name: trial / name for name in names}
    new = {name: path if path.is_symlink() or path.is_file() else None for name, path in found.items()}
    after = replace(state, changed={**state.changed, **new})
    return Outcome(ok=True, state=after, hunks=tuple(_hunks(patch, lines)), printed=tuple(lines))


def _place(state: State, name: str, trial: Path) -> None:
    target = trial / name
    target.parent.mkdir(parents=True, exist_ok=True)
    found = state.find(name)
    if found is not None:
        shutil.copy2(found, target, follow_symlinks=False)


def _place_links(tree: Path, name: str, trial: Path) -> None:
    """Make the first link among a name's folders; where it leads to is there already."""
    for folder in reversed(Path(name).parents):
        if (tree / folder).is_symlink() and not (trial / folder).is_symlink():
            (trial / folder).parent.mkdir(parents=True, exist_ok=True)
            (trial / folder).symlink_to((tree / folder).readlink())
            return


def _hunks(patch: Patch, lines: Sequence[str]) -> Iterator[Hunk]:
    """What GNU patch (in the C locale) said of hunks; of those that stand where they should it says nothing."""
    seen: list[str] = []
    for line in lines:
        if match := _FILE.match(line):
            seen.append(match[1].strip("'"))
        match = _HUNK.match(line)
        if match is None or not seen:
            continue
        file, number = seen[-1], int(match["number"])
        same = [part for part in patch.parts if part.path == file]
        part = same[min(seen.count(file), len(same)) - 1] if same else None
        yield Hunk(
            file=file,
            line=part.hunks[number - 1] if part and number <= len(part.hunks) else 1,
            number=number,
            at=int(match["at"]),
            offset=int(match["offset"] or 0),
            fuzz=int(match["fuzz"] or 0),
            failed=match["how"] == "FAILED",
        )
