"""Compressed chunks, and signatures, kept from one build to the next in a folder that several builds may use at once.

Nothing relies on it. An entry carries a checksum and is not taken when that is wrong; a folder that cannot be read or
written, that is full, or in which files come and go keeps nothing, and that is all.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

MAX_AGE = 14 * 86400
"""Seconds after which an entry goes that nothing used."""
MAX_SIZE = 2_000_000_000
"""Bytes of all entries; those go first that were used least recently."""
_MAX_TEMPORARY_AGE = 3600
_MAX_ENTRY = 64 << 20
"""Bytes of an entry that are read at most, whatever size a damaged file says it has."""
_SUFFIX = ".chunk"
_TEMPORARY = "tmp-"
_DIGEST = hashlib.sha256().digest_size


class ChunkCache:
    """Data by key in a folder; no method raises `OSError`, and several threads may call them at once.

    Args:
        folder: Where it is kept; made where it is missing. None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._writable = folder is not None
        if folder is not None:
            with suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)

    def get(self, key: str) -> bytes | None:
        """What was put under a key (a word of letters and digits), or None where it is not there whole."""
        if self.folder is None:
            return None
        try:
            fd = os.open(self.folder / f"{key}{_SUFFIX}", os.O_RDONLY)
            try:
                stored = os.read(fd, _MAX_ENTRY)
                with suppress(OSError):  # of a folder that is only read
                    os.utime(fd)
            finally:
                os.close(fd)
        except OSError:
            return None
        data = stored[_DIGEST:]
        return data if stored[:_DIGEST] == _digest(key, data) else None

    def put(self, key: str, data: bytes) -> None:
        """Keep the data under a key. After a failure no more is tried: a disk that is full stays so for a while."""
        if self.folder is None or not self._writable:
            return
        try:
            self._write(self.folder, key, data)
        except OSError:
            self._writable = False

    def trim(self) -> None:
        """Remove what nothing used for `MAX_AGE`, and the least recently used of what is more than `MAX_SIZE`."""
        if self.folder is None:
            return
        now, left = time.time(), MAX_SIZE
        for used, size, path in sorted(_entries(self.folder), reverse=True):
            left -= size
            limit = _MAX_TEMPORARY_AGE if path.name.startswith(_TEMPORARY) else MAX_AGE
            if left < 0 or now - used > limit:
                left += size
                with suppress(OSError):
                    path.unlink()

    @staticmethod
    def _write(folder: Path, key: str, data: bytes) -> None:
        fd, name = tempfile.mkstemp(prefix=_TEMPORARY, suffix=_SUFFIX, dir=folder)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(_digest(key, data))
                file.write(data)
            Path(name).rename(folder / f"{key}{_SUFFIX}")
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise


def _digest(key: str, data: bytes) -> bytes:
    """The key is in it, so that data under another's name is not taken for what it is not."""
    digest = hashlib.sha256(key.encode())
    digest.update(data)
    return digest.digest()


def _entries(folder: Path) -> list[tuple[float, int, Path]]:
    """When each entry was used last, its bytes, its path."""
    found = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(_SUFFIX):
                with suppress(OSError):  # another build removes entries too
                    stat = entry.stat(follow_symlinks=False)
                    found.append((stat.st_mtime, stat.st_size, Path(entry.path)))
    return found
