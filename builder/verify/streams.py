"""What a compressed file holds, piece by piece, and whether it is whole.

All three formats may be concatenated (RFC 1952, section 2.2; RFC 8878, section 3; the .xz file format, section 2).
Python's own readers stop silently at what follows the last part (lzma), or tell it like damage (gzip): here the
content comes first, and what follows it is known after.
"""

from __future__ import annotations

import lzma
import shutil
import tarfile
import zlib
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Protocol

from builder.errors import RoskError
from builder.process import output_of
from builder.verify.model import MissingProgram

PIECE = 1 << 18
"""Bytes that are read at once."""
_OUT = 1 << 20
_MAGIC = {"gzip": b"\x1f\x8b", "xz": b"\xfd7zXZ\0"}


class _Decoder(Protocol):
    """One part of a compressed file, as `lzma.LZMADecompressor` reads it."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gunzip:
    """The same for gzip."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)
        self._full = False

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def needs_input(self) -> bool:
        return not self._full

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        out = self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)
        self._full = len(out) == max_length
        return out


class Stream:
    """What a compressed file holds, from its start to its end; an object that `tarfile` can read.

    The next piece is decompressed while one is read: zlib and lzma leave the other processor to Python meanwhile.

    Args:
        path: The file.
        compression: `gzip`, `xz` or `zstd`.
        copy: A file that receives what is read of it.

    Raises, while it is read:
        EOFError: The file ends too early.
        ValueError, zlib.error, lzma.LZMAError: It is not of this format, or damaged.
        OSError: It cannot be read.
        MissingProgram: There is no zstd on this machine.

    Attributes:
        garbage: What follows the content, once that has been read; empty when nothing does, or zeros.
    """

    def __init__(self, path: Path, compression: str, copy: Path | None = None) -> None:
        self.garbage = ""
        self._piece, self._at, self._before = b"", 0, 0
        self._pieces = self._zstd(path) if compression == "zstd" else self._parts(path, compression)
        if copy is not None:
            self._pieces = _copied(self._pieces, copy)
        self._thread = ThreadPoolExecutor(1)
        self._next = self._thread.submit(next, self._pieces, b"")

    def read(self, size: int) -> bytes:
        """`size` bytes; fewer where the content ends."""
        data = self._piece[self._at : self._at + size]
        self._at += len(data)
        if len(data) == size or not self._turn():
            return data
        parts = [data]
        while (missing := size - sum(map(len, parts))) and (self._at < len(self._piece) or self._turn()):
            parts.append(self._piece[self._at : self._at + missing])
            self._at += len(parts[-1])
        return b"".join(parts)

    def seek(self, place: int) -> None:
        """Pass over what is before a place, counted in bytes from the start.

        Raises:
            tarfile.StreamError: That has been read already.
        """
        if place < self.tell():
            raise tarfile.StreamError("seeking backwards is not allowed")
        while place > self._before + len(self._piece) and self._turn():
            pass
        self._at = min(place - self._before, len(self._piece))

    def tell(self) -> int:
        """How many bytes are read, or passed over."""
        return self._before + self._at

    def close(self) -> None:
        self._thread.shutdown()
        self._pieces.close()

    def _turn(self) -> bool:
        """Go on to the next piece, if there is one."""
        if not (piece := self._next.result()):
            return False
        self._before += len(self._piece)
        self._piece, self._at = piece, 0
        self._next = self._thread.submit(next, self._pieces, b"")
        return True

    def _parts(self, path: Path, compression: str) -> Generator[bytes, None, None]:
        magic, new = _MAGIC[compression], _DECODERS[compression]
        with path.open("rb") as file:
            data = file.read(PIECE)
            if not data.startswith(magic):
                raise ValueError(f"it is not of the format {compression}, as its name says")
            while data.startswith(magic):
                decoder = new()
                while not decoder.eof:
                    fed = b""
                    if decoder.needs_input:
                        fed, data = data or file.read(PIECE), b""
                        if not fed:
                            raise EOFError(f"the {compression} file ends too early")
                    if out := decoder.decompress(fed, _OUT):
                        yield out
                data = decoder.unused_data
                if len(data) < len(magic):
                    data += file.read(PIECE)
            while data:
                if data.strip(b"\0"):
                    self.garbage = f"something that is no {compression} follows"
                    return
                data = file.read(PIECE)

    def _zstd(self, path: Path) -> Generator[bytes, None, None]:
        """Python has no reader of its own."""
        if shutil.which("zstd") is None:
            raise MissingProgram("zstd")
        try:
            with output_of(["zstd", "-dqc", path]) as content:
                while data := content.read(PIECE):
                    yield data
        except RoskError as error:
            raise ValueError(" ".join(error.details) or error.what) from None


def _copied(pieces: Generator[bytes, None, None], copy: Path) -> Generator[bytes, None, None]:
    with copy.open("wb") as file, closing(pieces):
        for piece in pieces:
            file.write(piece)
            yield piece


_DECODERS: dict[str, Callable[[], _Decoder]] = {
    "gzip": _Gunzip,
    "xz": lambda: lzma.LZMADecompressor(format=lzma.FORMAT_XZ),
}
