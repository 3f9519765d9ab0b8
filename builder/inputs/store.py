"""The cache of fetched files, by checksum.

A file is `CACHE/sha256/HEX/NAME`, alone in its folder, because that folder is given to BuildKit as a context. Beside
the folder stand `HEX.part` (a download that is not complete), `HEX.stamp` (size and time of the file when its
checksum was last computed) and `HEX.lock`.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from builder.files import file_errors, locked

_PIECE = 8 << 20

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """The place of one file in the cache; the methods are for whoever holds `locked()`.

    Attributes:
        cache: The cache's folder.
        sha256: The file's checksum, 64 lower-case hexadecimal digits.
        name: The file's name.
    """

    cache: Path
    sha256: str
    name: str

    @property
    def path(self) -> Path:
        return self._beside("") / self.name

    @property
    def part(self) -> Path:
        return self._beside(".part")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes away from this entry."""
        self.part.parent.mkdir(parents=True, exist_ok=True)
        with locked(self._beside(".lock")):
            yield

    def find(self) -> Path | None:
        """The file, if it is there and is what its checksum says; one that has rotted is removed."""
        for found in self._files():
            if self._stamp().is_file() and self._stamp().read_text() == _stat_text(found):
                return self._named(found)
            if file_sha256(found) == self.sha256:
                return self._named(found)
            log.warning("%s is damaged: removed from the cache", found)
            found.unlink()
        return None

    def adopt(self, file: Path) -> Path:
        """Move `file`, which has this checksum, into the cache."""
        self.path.parent.mkdir(exist_ok=True)
        for other in self._files():
            other.unlink()
        return self._named(file)

    def _named(self, file: Path) -> Path:
        if file != self.path:
            file.rename(self.path)
        self._stamp().write_text(_stat_text(self.path))
        return self.path

    def _files(self) -> list[Path]:
        return sorted(self.path.parent.iterdir()) if self.path.parent.is_dir() else []

    def _stamp(self) -> Path:
        return self._beside(".stamp")

    def _beside(self, suffix: str) -> Path:
        return self.cache / "sha256" / f"{self.sha256}{suffix}"


def _stat_text(file: Path) -> str:
    stat = file.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}\n"


def file_sha256(file: Path) -> str:
    """The SHA-256 of a file, 64 lower-case hexadecimal digits."""
    # In large pieces: for each, another thread has to stop before this one goes on.
    with file.open("rb", buffering=0) as opened:
        digest, buffer = hashlib.sha256(), memoryview(bytearray(min(_PIECE, os.fstat(opened.fileno()).st_size) or 1))
        while size := opened.readinto(buffer):
            digest.update(buffer[:size])
        return digest.hexdigest()


def cache_errors(cache: Path) -> AbstractContextManager[None]:
    """Turn the system's errors on files of the cache into rosk's; see `file_errors`."""
    return file_errors(
        cache,
        name="cache",
        full="free some space, or set ROSK_CACHE to a folder on another disk",
        refused="set ROSK_CACHE to a folder that you can write; what goes into it must be readable",
    )


def write_atomically(file: Path, data: bytes) -> None:
    """Write a small file so that a reader sees all of it or none."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f"{file.name}.{os.getpid()}.new")
    try:
        new.write_bytes(data)
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)
