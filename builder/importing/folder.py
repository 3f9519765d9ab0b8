"""Writes the files of a project into a folder: all of them, or none.

They are written into a folder of their own, and read from there as a build would, before anything is in its place. A
folder that is new appears with one rename. In one that exists, the few names at its top (`config`, `lists`, …) are
exchanged: each holds what was there too, and only the files that are written are others. What fails is undone.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from builder.errors import InputError
from builder.files import file_errors, uninterrupted

_STAGING = ".rosk-new-"
_IGNORED = "/dist/"
"""What a project's .gitignore has to say."""


@dataclass(frozen=True, kw_only=True)
class File:
    """A file to write."""

    data: bytes
    executable: bool = False


def write_project(
    target: Path, files: Mapping[str, File], *, force: bool, check: Callable[[Path], None], forcible: bool = True
) -> None:
    """Write a project.

    Args:
        target: Its folder; made when it is missing.
        files: Path in the project to file; a `.gitignore` is added, or completed.
        force: Write into a folder that holds something already.
        check: Called with a folder that holds the project as it will be (in a folder that exists, what is written and
            what is beside it); what it raises stops it.
        forcible: Whether the command has --force, for the hint.

    Raises:
        InputError: The folder holds something already, or cannot be written.
        NoSpaceError: The disk is full.
    """
    with file_errors(
        target,
        name="project folder",
        full="make room; nothing was changed",
        refused="nothing was changed: choose another",
    ):
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            raise InputError("this is no folder", where=target, hint="choose another one")
        if target.is_dir() and any(target.iterdir()) and not force:
            other = "choose another one" + (", or give --force: it replaces only what it writes" if forcible else "")
            raise InputError("the folder is not empty", where=target, hint=other)
        _place(target, {**files, ".gitignore": _gitignore(target)}, check)


def _gitignore(target: Path) -> File:
    """The file with a line for dist: what there is, completed."""
    path = target / ".gitignore"
    before = path.read_bytes() if path.is_file() else b""
    if any(line.strip() in (b"/dist", b"/dist/", b"dist", b"dist/") for line in before.splitlines()):
        return File(data=before)
    start = before + (b"" if not before or before.endswith(b"\n") else b"\n")
    return File(data=start + f"{_IGNORED}\n".encode())


def _place(target: Path, files: Mapping[str, File], check: Callable[[Path], None]) -> None:
    new = not target.is_dir()
    beside = target.parent if new else target
    missing = [parent for parent in (beside, *beside.parents) if not parent.exists()]
    beside.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=beside))
    try:
        whole = staging / "project"
        whole.mkdir()
        tops = list(dict.fromkeys(name.split("/", maxsplit=1)[0] for name in files))
        for top in () if new else tops:
            _copy(target / top, whole / top)
        for name, file in files.items():
            _write(whole, name, file)
        check(whole)
        with uninterrupted():
            if new:
                whole.rename(target)
            else:
                _exchange(whole, target, tops, staging / "before")
        missing = []
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        for parent in missing:
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()


def _copy(source: Path, to: Path) -> None:
    """What stands at the top of the folder already; links in it stay links."""
    if source.is_symlink():
        raise InputError("this is a link, which rosk would have to replace", where=source, hint="remove it first")
    if source.is_dir():
        shutil.copytree(source, to, symlinks=True)
    elif source.exists():
        shutil.copy2(source, to)


def _write(root: Path, name: str, file: File) -> None:
    path = root / name
    for parent in reversed(Path(name).parents[:-1]):
        folder = root / parent
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise InputError(
                "this is no folder, and rosk would have to replace it", where=parent, hint="remove it first"
            )
        folder.mkdir(exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        raise InputError("this is a folder, and rosk would have to replace it", where=name, hint="remove it first")
    path.unlink(missing_ok=True)
    path.write_bytes(file.data)
    if file.executable:
        path.chmod(path.stat().st_mode | 0o111)


def _exchange(whole: Path, target: Path, tops: list[str], before: Path) -> None:
    """Put each name at the top of `whole` in its place in `target`; undo it all when one cannot be."""
    before.mkdir()
    done: list[str] = []
    try:
        for top in tops:
            done.append(top)
            if os.path.lexists(target / top):
                (target / top).rename(before / top)
            (whole / top).rename(target / top)
    except OSError:
        for top in reversed(done):
            if not os.path.lexists(whole / top):
                (target / top).rename(whole / top)
            if os.path.lexists(before / top):
                (before / top).rename(target / top)
        raise
