"""Changes to the files of somebody's checkout: computed first, shown, and made together or not at all."""

from __future__ import annotations

import difflib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from builder.errors import InputError
from builder.files import file_errors, uninterrupted
from builder.release import human_size

_STAGED = ".rosk-"
_MOST = 4 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Change:
    """One file to write.

    Attributes:
        name: Its path in the checkout, with `/`.
        before: What it holds; None when it is not there, or is a large file that is not looked into.
        after: What it is to hold, or the file that it is to be a copy of.
    """

    name: str
    before: bytes | None
    after: bytes | Path


def read_plain(root: Path, name: str) -> bytes | None:
    """The content of a small text file of a checkout; None when it is not there.

    Raises:
        InputError: It is no plain file, or a link is in its path: to write it would write somewhere else.
    """
    path = plain_path(root, name)
    with file_errors(root, name="checkout", full="make room", refused="is the checkout whole?"):
        try:
            about = path.stat()
        except FileNotFoundError:
            return None
        if about.st_size > _MOST:
            raise InputError(f"the file is larger than {_MOST >> 20} MiB", where=path, hint="is it the right file?")
        return path.read_bytes()


def plain_path(root: Path, name: str) -> Path:
    """The path of a file in a checkout, which is a plain file or is not there.

    Raises:
        InputError: A link is in its path, or it is a folder or a device.
    """
    path = root
    parts = name.split("/")
    for number, part in enumerate(parts, 1):
        path = path / part
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return root / name
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", where=path, hint="is it the right folder?") from error
        if stat.S_ISLNK(mode):
            raise InputError("this is a link, which rosk does not follow", where=path, hint="put the file itself there")
        if not (stat.S_ISREG(mode) if number == len(parts) else stat.S_ISDIR(mode)):
            kind = "file" if number == len(parts) else "folder"
            raise InputError(
                f"this is no {kind}, and rosk would have to replace it", where=path, hint="remove it first"
            )
    return path


def needed(changes: Sequence[Change]) -> list[Change]:
    """The changes that change something."""
    return [change for change in changes if change.before is None or change.before != change.after]


def diff(changes: Sequence[Change]) -> Iterator[str]:
    """The unified diff of changes, a line each; of a file that is copied only its size."""
    for change in changes:
        if isinstance(change.after, Path):
            yield f"+++ b/{change.name}: {human_size(change.after.stat().st_size)} from {change.after}"
            continue
        old, new = (_lines(data) for data in (change.before, change.after))
        source = "/dev/null" if change.before is None else f"a/{change.name}"
        yield from difflib.unified_diff(old, new, fromfile=source, tofile=f"b/{change.name}", lineterm="")


def _lines(data: bytes | None) -> list[str]:
    """Lines as a diff shows them: a carriage return at an end is there, but not sent to a terminal."""
    text = (data or b"").decode("utf-8", "replace")
    return [line.replace("\r", "^M") for line in text.split("\n")[: -1 if text.endswith("\n") or not text else None]]


def apply(root: Path, changes: Sequence[Change]) -> None:
    """Make all of the changes. When one fails, every file is as it was.

    Raises:
        InputError: A file cannot be written.
        NoSpaceError: The disk is full.
    """
    with file_errors(
        root,
        name="checkout",
        full="make room; nothing was changed",
        refused="nothing was changed: see that rosk can write there",
    ):
        made: list[Path] = []
        staged: list[tuple[Path, Path]] = []
        try:
            for change in changes:
                target = plain_path(root, change.name)
                _make_parents(target, made)
                staged.append((_stage(change, target), target))
            with uninterrupted():
                _exchange(staged)
            made = []
        finally:
            for new, _ in staged:
                new.unlink(missing_ok=True)
            for folder in reversed(made):
                with suppress(OSError):
                    folder.rmdir()


def _make_parents(target: Path, made: list[Path]) -> None:
    missing = [parent for parent in target.parents if not parent.exists()]
    for folder in reversed(missing):
        folder.mkdir()
        made.append(folder)


def _stage(change: Change, target: Path) -> Path:
    """The file as it will be, beside the one that it replaces, with the same mode."""
    handle, name = tempfile.mkstemp(prefix=_STAGED, dir=target.parent)
    os.close(handle)
    new = Path(name)
    try:
        if isinstance(change.after, Path):
            shutil.copyfile(change.after, new)
        else:
            new.write_bytes(change.after)
        new.chmod(stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o666 & ~_umask())
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    return new


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _exchange(staged: Sequence[tuple[Path, Path]]) -> None:
    """Put each staged file in its place; what was there is put back when one cannot be."""
    done: list[tuple[Path, Path | None]] = []
    try:
        for new, target in staged:
            before = new.with_name(f"{new.name}.before") if target.exists() else None
            if before is not None:
                target.rename(before)
            done.append((target, before))
            new.rename(target)
    except BaseException:
        for target, before in reversed(done):
            if before is not None:
                before.replace(target)
            else:
                target.unlink(missing_ok=True)
        raise
    for _, before in done:
        if before is not None:
            before.unlink(missing_ok=True)
