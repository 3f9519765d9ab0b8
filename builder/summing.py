"""The checksums of files of a build, each summed up once; of those that it may keep while BuildKit works."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from builder.inputs.store import file_sha256


class Identity(NamedTuple):
    """What tells a file from others, and from itself once it has been written to; by whatever name."""

    device: int
    inode: int
    size: int
    modified: int


class Sums:
    """The checksums of files; of some of them before anybody asks. Several threads may ask at once."""

    def __init__(self, ahead: Iterable[Future[tuple[Identity, str] | None]] = ()) -> None:
        self._ahead = tuple(ahead)
        self._noted: dict[Identity, str] = {}
        self._known: dict[tuple[Identity, int], str] = {}

    def sha256(self, path: Path) -> str:
        """The SHA-256 (hex) of a file as it is now.

        Raises:
            OSError: It cannot be read.
        """
        state = state_of(path)
        ahead = dict(filter(None, (each.result() for each in self._ahead if not each.cancelled())))
        if digest := ahead.get(state[0]) or self._noted.get(state[0]) or self._known.get(state):
            return digest
        self._known[state] = digest = file_sha256(path)
        return digest

    def note(self, path: Path) -> None:
        """Sum up a file that is going to be asked for, under this name or another."""
        if summed := _sum(path):
            self._noted[summed[0]] = summed[1]


@contextmanager
def summed_ahead(files: Iterable[Path]) -> Iterator[Sums]:
    """Sum up some files, which another build may be replacing, beside what the block does."""
    pool = ThreadPoolExecutor(1)
    try:
        yield Sums([pool.submit(_sum, path) for path in files])
    finally:
        pool.shutdown(cancel_futures=True)


def _sum(path: Path) -> tuple[Identity, str] | None:
    """A file and its checksum; None where it is gone, or is being written."""
    with suppress(OSError):
        before = _identity(path.stat())
        digest = file_sha256(path)
        return (before, digest) if before == _identity(path.stat()) else None
    return None


def state_of(path: Path) -> tuple[Identity, int]:
    """What tells that a file was written, replaced or linked: one that is written anew can have the same identity, but
    not the same time of its inode (ctime, in nanoseconds)."""
    stat = path.stat()
    return _identity(stat), stat.st_ctime_ns


def _identity(stat: os.stat_result) -> Identity:
    return Identity(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
