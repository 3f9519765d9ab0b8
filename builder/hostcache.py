"""What rosk keeps on this machine beside the engine: downloads, trees and images in the folder of `default_cache`."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from builder.files import locked
from builder.inputs.store import cache_errors

_IN_USE = Path("builds/in-use.lock")
"""Held, shared, by everything that gives BuildKit what is kept; and alone by what removes an entry."""
_KINDS = {
    "sha256": (
        "[0-9a-f]{64}",
        "downloads",
        "a build of that source downloads it again, or takes it from your disk again",
    ),
    "trees": (
        "[0-9a-f]{16}",
        "staged source trees",
        "the next build of that tree stages it again, and sends what it finds changed",
    ),
    "git": ("[0-9a-f]{16}", "git repositories of modules", "a build of such a module fetches its commit again"),
    "bases": (
        r"sha256-[0-9a-f]{64}|rosk-\w+",
        "base images for other builders",
        "a build with a builder of its own takes its base from the engine again",
    ),
}
"""The folders of the cache folder: what rosk calls the entries of each (a user may have given it a folder with more in
it, and older versions of rosk wrote base images as `rosk-…`), what they are, and what it costs to lose one."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One entry: a download (`sha256/HEX`), a staged tree (`trees/HASH`), a repository (`git/HASH`), a base image
    (`bases/ID`).

    Attributes:
        path: The entry's folder; beside it stand its lock, its stamp and what is unfinished of it.
        size: Bytes that removing it frees: a file that has another name elsewhere frees none.
        idle: Seconds since it was last read or written, as far as the file system notes that.
        stays: Why it cannot be removed now; empty when it can.
    """

    what: str
    cost: str
    path: Path
    size: int
    idle: float
    stays: str = ""

    def remove(self) -> bool:
        """Remove it, unless a build has begun or another rosk is at work on it; returns whether it is gone.

        Its lock stays.
        """
        common, own = self.path.parent.parent / _IN_USE, _beside(self.path, ".lock")
        for lock in (common, own):
            with suppress(OSError):  # then nobody has it, or it cannot be held
                lock.parent.mkdir(exist_ok=True)
                lock.touch()
        with _held(common) as idle, _held(own) as free:
            if idle and free:
                for path in (self.path, _beside(self.path, ".part"), _beside(self.path, ".stamp")):
                    if path.is_dir():
                        shutil.rmtree(path, ignore_errors=True)
                    else:
                        with suppress(OSError):
                            path.unlink()
            return idle and free and not self.path.exists()


@contextmanager
def in_use(cache: Path) -> Iterator[None]:
    """Keep every entry of a cache folder, those that others make too: BuildKit is given them, and reads what is there.

    It takes a folder that vanishes as it sends it for one with no more files, and an absent file for an empty one.

    Raises:
        InputError: The folder cannot be written.
        NoSpaceError: Its disk is full.
    """
    with ExitStack() as stack:
        with cache_errors(cache):
            lock = cache / _IN_USE
            lock.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(lock, shared=True))
        yield


def kept_files(cache: Path) -> Iterator[Kept]:
    """All entries of a cache folder; while a build runs, none of them can go: it may be reading them."""
    building = any(_is_held(lock) for lock in cache.glob("builds/*.lock"))
    for folder, (pattern, what, cost) in _KINDS.items():
        names = {path.name.partition(".")[0] for path in cache.glob(f"{folder}/*") if path.suffix != ".lock"}
        for name in filter(re.compile(pattern).fullmatch, sorted(names)):
            path = cache / folder / name
            busy = building or _is_held(_beside(path, ".lock"))
            size, used = _measure([path, _beside(path, ".part")])
            yield Kept(
                what=what,
                cost=cost,
                path=path,
                size=size,
                idle=max(0.0, time.time() - used),
                stays="in use by a build" if busy else "",
            )


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _measure(paths: list[Path]) -> tuple[int, float]:
    """Bytes that removing the paths frees, and the last time that one of their files was used."""
    size, used = 0, 0.0
    for path in chain.from_iterable(map(_files, paths)):
        with suppress(OSError):
            status = path.lstat()
            size += status.st_size if status.st_nlink == 1 else 0
            used = max(used, status.st_atime, status.st_mtime)
    return size, used


def _files(top: Path) -> Iterator[Path]:
    """A file, or all files and links below a folder; what vanishes meanwhile is passed over."""
    if not top.is_dir():
        yield top
    for folder, folders, files in os.walk(top):
        yield from (Path(folder, name) for name in files)
        yield from (path for name in folders if (path := Path(folder, name)).is_symlink())


def _is_held(lock: Path) -> bool:
    with _held(lock) as free:
        return not free


@contextmanager
def _held(lock: Path) -> Iterator[bool]:
    """Hold a lock if no other process does, as `builder.files.locked` would; gives whether it is held.

    One that is not there nobody holds; one that cannot be held, since it is another user's for example, somebody may.
    """
    free = True
    with ExitStack() as stack:
        try:
            fcntl.flock(stack.enter_context(lock.open("r+b")), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            free = isinstance(error, FileNotFoundError)
        yield free
