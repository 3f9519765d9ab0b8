"""Packs a folder as a tar archive whose bytes depend on nothing but the files' names, contents and executable bits.

Members are sorted, belong to root, and have one time. The archive streams through the compressor, so that neither
memory nor disk holds it whole. gzip is made of independent members of one size each (RFC 1952, section 2.2: a file is
a series of members), compressed beside each other by libdeflate where it is installed, else by zlib.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import subprocess
import tarfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from builder.stages.common import StageError, stage_main

FORMATS = ("gzip", "zstd", "xz", "none")
CHUNK = 32 << 20
"""Bytes of the archive in each gzip member."""
MAX_WORKERS = 8


class Sink:
    """What `tarfile` needs of a file that it writes: hands the bytes on and knows how many there were."""

    def __init__(self, take: Callable[[bytes], object]) -> None:
        self.take = take
        self.position = 0

    def tell(self) -> int:
        return self.position

    def write(self, data: bytes) -> int:
        self.position += len(data)
        self.take(data)
        return len(data)


def pack(root: Path, out: Path, *, epoch: int, top: str = ".", compression: str = "gzip") -> None:
    """Write the folder `root` as the archive `out`.

    Args:
        epoch: The time of every member, in seconds since 1970.
        top: What the members' names start with, a path without `/` at its ends; `.` itself is no member.
        compression: One of `FORMATS`.

    Raises:
        StageError: There is something else than folders, files and links, or a compressor failed.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("wb") as file:
        if compression == "gzip":
            with Gzip(file) as gzip:
                write_tar(root, Sink(gzip.feed), epoch=epoch, top=top)
        elif compression == "none":
            write_tar(root, Sink(file.write), epoch=epoch, top=top)
        else:
            with _compressor(compression, file) as pipe:
                write_tar(root, Sink(pipe.write), epoch=epoch, top=top)


def write_tar(root: Path, sink: Sink, *, epoch: int, top: str) -> None:
    """Write the tar itself, in GNU's format: any length of names, and no headers that vary."""

    def member(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.mtime = kind, mode, epoch
        info.uname = info.gname = "root"
        return info

    with tarfile.open(fileobj=sink, mode="w", format=tarfile.GNU_FORMAT) as tar:  # type: ignore[call-overload]
        if top != ".":
            for parent in itertools.accumulate(top.split("/"), "{}/{}".format):
                tar.addfile(member(parent, tarfile.DIRTYPE, 0o755))
        for name, entry in _walk(root, top):
            if entry.is_symlink():
                info = member(name, tarfile.SYMTYPE, 0o777)
                info.linkname = str(Path(entry.path).readlink())
                tar.addfile(info)
            elif entry.is_dir():
                tar.addfile(member(name, tarfile.DIRTYPE, 0o755))
            elif entry.is_file():
                stat = entry.stat()
                info = member(name, tarfile.REGTYPE, 0o755 if stat.st_mode & 0o100 else 0o644)
                info.size = stat.st_size
                with Path(entry.path).open("rb") as content:
                    tar.addfile(info, content)
            else:
                hint = "remove it from what is packed"
                raise StageError(f"{entry.path} is neither a folder nor a file nor a symbolic link", hint=hint)


def workers() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


def _walk(folder: Path | str, name: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """All below a folder, sorted within each folder, with the members' names."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
    for entry in entries:
        yield f"{name}/{entry.name}", entry
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, f"{name}/{entry.name}")


class Gzip:
    """Compresses what it is fed in chunks, several at once, and writes them in order."""

    def __init__(self, out: IO[bytes]) -> None:
        self.out = out
        self.chunk = bytearray()
        self.pool = ThreadPoolExecutor(min(MAX_WORKERS, workers()))
        self.waiting: deque[Future[bytes]] = deque()
        self.compress = _libdeflate if shutil.which("libdeflate-gzip") else _zlib

    def __enter__(self) -> Gzip:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write what is left, unless an error ends it."""
        if kind is None:
            if self.chunk:
                self._submit(bytes(self.chunk))
            while self.waiting:
                self.out.write(self.waiting.popleft().result())
        self.pool.shutdown(cancel_futures=True)

    def feed(self, data: bytes) -> None:
        self.chunk += data
        while len(self.chunk) >= CHUNK:
            self._submit(bytes(self.chunk[:CHUNK]))
            del self.chunk[:CHUNK]

    def _submit(self, chunk: bytes) -> None:
        """Queue a chunk; waits for the oldest when as many are queued as are compressed at once."""
        if len(self.waiting) > workers():
            self.out.write(self.waiting.popleft().result())
        self.waiting.append(self.pool.submit(self.compress, chunk))


def _libdeflate(chunk: bytes) -> bytes:
    done = subprocess.run(["libdeflate-gzip", "-6", "-c"], input=chunk, capture_output=True)
    if done.returncode:
        raise StageError("libdeflate-gzip failed", details=done.stderr.decode(errors="replace").splitlines())
    return done.stdout


def _zlib(chunk: bytes) -> bytes:
    return zlib.compress(chunk, level=6, wbits=31)


@contextmanager
def _compressor(compression: str, out: IO[bytes]) -> Iterator[IO[bytes]]:
    """A pipe to zstd or xz, whose output goes to `out`.

    What they make with several threads is the same for any number of them, but not what they make with one.
    """
    argv = {"zstd": ["zstd", "-q", "-c", "-12"], "xz": ["xz", "-c", "-6"]}[compression]
    process = subprocess.Popen([*argv, f"-T{max(2, workers())}"], stdin=subprocess.PIPE, stdout=out)
    with suppress(BrokenPipeError), process:  # when it breaks, the exit code says so
        assert process.stdin
        yield process.stdin
    if process.returncode:
        raise StageError(f"{argv[0]} failed with exit code {process.returncode}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the folder to pack")
    parser.add_argument("--out", type=Path, required=True, help="the archive")
    parser.add_argument("--top", default=".", help="what members' names start with (default: .)")
    parser.add_argument("--format", choices=FORMATS, default="gzip")
    parser.add_argument("--epoch", type=int, required=True, help="the time of all members, seconds since 1970")
    options = parser.parse_args()
    pack(options.root, options.out, epoch=options.epoch, top=options.top, compression=options.format)


if __name__ == "__main__":
    stage_main(main)
