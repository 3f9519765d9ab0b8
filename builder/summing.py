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
        # A file that is written anew can have the same inode, size and time, but for the time of its inode.
        self._known: dict[tuple[Identity, int], str] = {}

    def sha256(self, path: Path) -> str:
        """The SHA-256 (hex) of a file as it is now.

        Raises:
            OSError: It cannot be read.
        """
        before = path.stat()
        ahead = dict(filter(None, (each.result() for each in self._ahead if not each.cancelled())))
        if digest := ahead.get(identity_of(before)) or self._known.get((identity_of(before), before.st_ctime_ns)):
            return digest
        digest = file_sha256(path)
        self._known[identity_of(before), before.st_ctime_ns] = digest
        return digest


@contextmanager
def summed_ahead(folders: Iterable[Path]) -> Iterator[Sums]:
    """Sum up all files of some folders, which need not exist, beside what the block does."""
    pool = ThreadPoolExecutor(1)
    try:
        yield Sums([pool.submit(_sum, path) for folder in folders for path in _files(folder)])
    finally:
        pool.shutdown(cancel_futures=True)


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_file() and not path.is_symlink())
    except OSError:  # there is none, or another build is just replacing it
        return []


def _sum(path: Path) -> tuple[Identity, str] | None:
    """A file and its checksum; None where it is gone, or is being written."""
    with suppress(OSError):
        before = identity_of(path.stat())
        digest = file_sha256(path)
        return (before, digest) if before == identity_of(path.stat()) else None
    return None


def identity_of(stat: os.stat_result) -> Identity:
    """What a file is, as its `stat` tells."""
    return Identity(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
