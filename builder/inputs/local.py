"""Sources on this machine: a tarball, or a tree with a kernel in it, as a folder that BuildKit is given."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from builder.errors import FetchError, InputError
from builder.files import locked
from builder.inputs.store import Entry, cache_errors, file_sha256
from builder.process import run
from builder.stages.common import TICK_SECONDS

EPOCH = 1577836800
"""The time (2020-01-01T00:00:00Z) that stands for a tree's own, where git does not tell one."""

_MAGIC = (b"\xfd7zXZ\x00", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh")  # xz, gzip, zstd, bzip2
_TAR_MAGIC, _TAR_MAGIC_OFFSET = b"ustar", 257


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A local tree, staged for a build.

    Attributes:
        folder: The folder with the tree's files, and nothing else.
        epoch: The tree's time in seconds: that of git's last commit, or `EPOCH`.
    """

    folder: Path
    epoch: int


def local_archive(path: Path, *, sha256: str | None, cache: Path) -> Path:
    """Bring a tarball of this machine into the cache, as a hard link where that is possible.

    Args:
        path: The tarball (xz, gzip, zstd, bzip2, or not compressed).
        sha256: The checksum that it must have, if one is known.
        cache: The cache's folder; made if it is missing.

    Returns:
        The file `CACHE/sha256/HEX/NAME`, alone in its folder.

    Raises:
        InputError: It is missing, or no tar archive.
        FetchError: It does not have the checksum.
        NoSpaceError: The cache's disk is full.
    """
    file = _existing(path)
    digest = _archive_sha256(file)
    if sha256 is not None and digest != sha256.lower():
        hint = "correct the sha256 in the settings, or get the file again"
        raise FetchError(f"its SHA-256 is {digest}, not {sha256}", where=path, hint=hint)
    entry = Entry(cache=cache, sha256=digest, name=path.name)
    with cache_errors(cache), entry.locked():
        if found := entry.find():
            return found
        entry.part.unlink(missing_ok=True)
        _link_or_copy(file, entry.part)
        if file_sha256(entry.part) != digest:
            raise InputError("the file changed while it was read", where=path, hint="run it again")
        return entry.adopt(entry.part)


def tree_context(path: Path, *, cache: Path) -> Tree:
    """Stage a kernel tree of this machine (see `staged`).

    Args:
        path: The top of the tree.
        cache: The cache's folder; made if it is missing.

    Raises:
        InputError: It is no kernel tree, or git cannot list it.
        NoSpaceError: The cache's disk is full.
    """
    tree = _existing(path)
    if not all((tree / name).is_file() for name in ("Makefile", "Kconfig")):
        hint = "give the top folder of a kernel tree; for an archive use source tarball"
        raise InputError("this is not a kernel tree: it has no Makefile and Kconfig", where=path, hint=hint)
    folder = staged(tree, cache=cache)
    if not (folder / "Makefile").is_file():
        hint = "correct its .gitignore, or take the tree out of git: one without .git is taken as it is"
        raise InputError("git ignores this tree's Makefile", where=path, hint=hint)
    return Tree(folder=folder, epoch=_git_epoch(tree) if (tree / ".git").exists() else EPOCH)


def staged(path: Path, *, cache: Path) -> Path:
    """Stage a folder of this machine, without `.git` and without what git ignores.

    Where it has a `.git`, its files are those that git knows or would add; else all but empty folders. The staged
    folder has hard links to them where that is possible. It is the same folder at each call, and follows the other:
    what did not change is left alone there, what is gone vanishes. A file that was written and has its size and time
    again is found by the time of its inode (ctime), and has that time there. A `.dockerignore` at its top is left out,
    for BuildKit would leave out what that names.

    Raises:
        InputError: It cannot be read, or git cannot list it.
        NoSpaceError: The cache's disk is full.
    """
    tree = _existing(path)
    folder = cache / "trees" / hashlib.sha256(os.fsencode(tree)).hexdigest()[:16]
    with cache_errors(cache):
        files = _stats(tree, _git_files(tree) if (tree / ".git").exists() else _all_files(tree))
        files.pop(".dockerignore", None)
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_suffix(".lock")):
            stamp = folder.with_suffix(".stamp")
            since = stamp.stat().st_ctime_ns if stamp.exists() else None
            _prune(folder, "", files, _folders(files))
            new = folder.with_suffix(".part")
            if [name for name, status in files.items() if _place(tree / name, status, folder / name, new, since)]:
                time.sleep(TICK_SECONDS)  # a link to a file is a new time of its inode
                stamp.touch()
    return folder


def _existing(path: Path) -> Path:
    try:
        return path.resolve(strict=True)
    except OSError as error:
        hint = "paths in the settings are relative to the project's folder"
        raise InputError(f"cannot be read: {error.strerror}", where=path, hint=hint) from error


def _archive_sha256(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            head = opened.read(_TAR_MAGIC_OFFSET + len(_TAR_MAGIC))
        if not (head.startswith(_MAGIC) or head.endswith(_TAR_MAGIC)):
            what = "is empty" if not head else "is no tar archive (xz, gzip, zstd, bzip2 or plain)"
            raise InputError(f"the file {what}", where=file, hint="get the file again, and look at its first lines")
        return file_sha256(file)
    except IsADirectoryError as error:
        raise InputError("this is a folder, not a tarball", where=file, hint="use source tree for it") from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=file) from error


def _link_or_copy(source: Path, target: Path) -> None:
    """Make `target` a hard link, or a copy where there can be none (another disk, another owner, no such thing)."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)


def _git_files(tree: Path) -> Iterator[str]:
    """Files that git tracks, or would track: names relative to the tree."""
    listed = run(
        ["git", "-C", tree, "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        error=InputError,
        hint="git must be able to list the tree; one without its .git is taken as it is",
    ).stdout
    for name in filter(None, listed.split("\0")):
        if "\ufffd" in name:
            raise InputError(f"the file name {name} is not UTF-8", where=tree, hint="rename it")
        if name.endswith("/"):  # a repository inside this one
            yield from _all_files(tree, name)
        else:
            yield name


def _git_epoch(tree: Path) -> int:
    """The time of the last commit, `EPOCH` before the first one."""
    done = run(["git", "-C", tree, "log", "-1", "--format=%ct"], check=False, error=InputError)
    return int(done.stdout) if done.returncode == 0 else EPOCH


def _all_files(folder: Path, below: str = "") -> Iterator[str]:
    """All files and links but those in a `.git`: names relative to `folder`, each beginning with `below`."""
    with os.scandir(folder / below) as entries:
        for entry in entries:
            if entry.name == ".git":
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _all_files(folder, f"{below}{entry.name}/")
            else:
                yield f"{below}{entry.name}"


def _stats(tree: Path, names: Iterator[str]) -> dict[str, os.stat_result]:
    """The files that are there; git also knows some that were removed, or that a link now stands in the way of."""
    found: dict[str, os.stat_result] = {}
    for name in names:
        try:
            status = os.lstat(f"{tree}/{name}")
        except (FileNotFoundError, NotADirectoryError):
            continue
        if stat.S_ISDIR(status.st_mode):  # a submodule that was never checked out
            continue
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
            raise InputError("this is neither a file nor a link", where=tree / name, hint="remove it from the tree")
        found[name] = status
    for link in _folders(found) & found.keys():
        found = {name: status for name, status in found.items() if not name.startswith(f"{link}/")}
    return found


def _folders(names: Iterable[str]) -> set[str]:
    """The folders that lead to the files."""
    found: set[str] = set()
    for name in names:
        folder = name.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found


def _prune(folder: Path, below: str, files: Mapping[str, object], folders: Collection[str]) -> None:
    """Remove from the staged folder what is not among `files`, or a folder on the way to one."""
    with os.scandir(folder / below) as entries:
        for entry in entries:
            name = f"{below}{entry.name}"
            if not entry.is_dir(follow_symlinks=False):
                if name not in files:
                    Path(entry.path).unlink()
            elif name in folders:
                _prune(folder, f"{name}/", files, folders)
            else:
                shutil.rmtree(entry.path)


def _place(source: Path, wanted: os.stat_result, target: Path, new: Path, since: int | None) -> bool:
    """Make the staged `target` what `source` is, and say whether it was not that already.

    Args:
        new: A name beside the folder.
        since: When something was staged last, in nanoseconds. A file whose inode is newer may have been written: for
            BuildKit to see that, the staged file has the inode's time.
    """
    suspect = False
    try:
        present = target.lstat()
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
    else:
        if _same(wanted, present) and (not source.is_symlink() or source.readlink() == target.readlink()):
            suspect = stat.S_ISREG(wanted.st_mode) and since is not None and wanted.st_ctime_ns >= since
            if not suspect:
                return False
        elif _is_copy(wanted, present):
            return False
    # Another build may be sending the folder: it finds this file as it was, or as it is, and no other.
    new.unlink(missing_ok=True)
    if stat.S_ISLNK(wanted.st_mode):
        new.symlink_to(source.readlink())
    elif suspect:
        if os.path.samestat(wanted, present):  # the end of a link is a new time of the inode as well
            shutil.copy2(source, new)
            new.replace(target)
            wanted = source.lstat()
        shutil.copy2(source, new)
        os.utime(new, ns=(wanted.st_atime_ns, wanted.st_ctime_ns))
    else:
        _link_or_copy(source, new)
    new.replace(target)
    return True


def _same(wanted: os.stat_result, present: os.stat_result) -> bool:
    if stat.S_ISLNK(wanted.st_mode):
        return stat.S_ISLNK(present.st_mode)
    # A copy has its own inode; size, time (copied to the nanosecond) and mode tell whether it is current.
    return os.path.samestat(wanted, present) or (_alike(wanted, present) and wanted.st_mtime_ns == present.st_mtime_ns)


def _is_copy(wanted: os.stat_result, present: os.stat_result) -> bool:
    """Whether this is the copy of a file that was written without a new time, and has not been written since."""
    return _alike(wanted, present) and wanted.st_ctime_ns == present.st_mtime_ns


def _alike(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_size, one.st_mode) == (other.st_size, other.st_mode)
