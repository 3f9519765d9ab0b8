"""The compressors of archives: each makes of a piece of data a whole of its own, to be put one after the other.

Concatenation is part of all three formats: members of gzip (RFC 1952, section 2.2), frames of zstd (RFC 8878, section
3), streams of xz (its specification, section 2).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from builder.stages.common import StageError, run

FORMATS = ("gzip", "zstd", "xz", "none")
SUFFIXES = {
    **{".gz": "gzip", ".tgz": "gzip", ".zst": "zstd", ".tzst": "zstd"},
    **{".xz": "xz", ".txz": "xz", ".tar": "none"},
}

# One thread each: several pieces are compressed at once, and what comes out is the same on any machine. The levels, by
# the CPU time and the size of pieces of 4 MB of the kernel's source, against gzip 6 (20 s and 245 MB for all of it):
#   zstd 9   1.7 times as long, 20 % smaller; 12 takes twice as long for 1 % more, 15 seven times for 3 %.
#   xz 5    18 times as long, 29 % smaller, which is all that xz is chosen for; 3 saves no more than zstd, and 6 takes
#           half as long again for 2 % more.
PROGRAMS = {
    "gzip": ("libdeflate-gzip", "-6", "-c"),
    "zstd": ("zstd", "-9", "-q", "-c", "--single-thread"),
    "xz": ("xz", "-5", "-c", "-T1"),
}
_VERSION = {"libdeflate-gzip": "-V"}
_ZLIB_LEVEL = 6


@dataclass(frozen=True)
class Compressor:
    """A compressor at its level.

    Attributes:
        identity: A checksum over all that decides, beside the data, what comes out: format, level, program, version.
        compress: Makes a gzip member, a zstd frame or an xz stream of the data. Raises `StageError`. Any number of
            threads may call it at once.
    """

    identity: bytes
    compress: Callable[[bytes], bytes]


def format_of(name: str) -> str:
    """The format that a file's name asks for.

    Raises:
        StageError: The name has none of the known ends.
    """
    for suffix, compression in SUFFIXES.items():
        if name.endswith(suffix):
            return compression
    raise StageError(f"the name {name} tells no format", hint=f"end it in one of {', '.join(SUFFIXES)}")


def compressor(compression: str) -> Compressor:
    """The compressor of a format other than `none`. gzip is made by libdeflate where it is installed, else by zlib.

    Raises:
        StageError: The program is not installed.
    """
    argv = PROGRAMS[compression]
    program = shutil.which(argv[0])
    if program is None and compression == "gzip":
        return Compressor(_checksum("gzip", "zlib", str(_ZLIB_LEVEL), zlib.ZLIB_RUNTIME_VERSION), _zlib)
    if program is None:
        raise StageError(f"{argv[0]} is not installed", hint=f"install it, or choose another format than {compression}")
    version = run([program, _VERSION.get(argv[0], "--version")]).stdout
    # A distribution may change a program and leave its version as it is.
    content = hashlib.sha256(Path(program).read_bytes()).hexdigest()
    return Compressor(_checksum(compression, *argv, version, content), lambda data: _filter(argv, data))


def _checksum(*words: str) -> bytes:
    return hashlib.sha256("\0".join(words).encode()).digest()


def _zlib(data: bytes) -> bytes:
    return zlib.compress(data, level=_ZLIB_LEVEL, wbits=31)


def _filter(argv: tuple[str, ...], data: bytes) -> bytes:
    """What a program makes of its input; both are files in memory, which takes no thread to feed a pipe."""
    with os.fdopen(os.memfd_create("plain"), "w+b") as plain, os.fdopen(os.memfd_create("packed"), "w+b") as packed:
        plain.write(data)
        plain.seek(0)
        # Of the environment no more than the path: XZ_OPT, ZSTD_CLEVEL and others change what comes out.
        environment = {"PATH": os.environ.get("PATH", os.defpath)}
        done = subprocess.run(argv, stdin=plain, stdout=packed, stderr=subprocess.PIPE, env=environment)
        if done.returncode:
            details = done.stderr.decode(errors="replace").splitlines()
            raise StageError(f"{argv[0]} failed with exit code {done.returncode}", details=details)
        packed.seek(0)
        return packed.read()
