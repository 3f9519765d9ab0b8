"""What a bootable kernel image says of itself: its architecture, and its release."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass

LIMIT = 512 << 20
"""Bytes of an uncompressed image that no kernel has."""
_BANNER = re.compile(rb"Linux version (\d[^\s\0]*) \(")


@dataclass(frozen=True, kw_only=True)
class Banner:
    """What an image says.

    Attributes:
        a: Its package architecture (`x86`, `arm64`).
        releases: The kernel releases that it names; one in an image that is right.
    """

    a: str
    releases: frozenset[str]


def read_banner(data: bytes) -> Banner:
    """Read an image.

    x86: the boot protocol's `kernel_version` (Documentation/arch/x86/boot.rst). arm64: the text that the kernel prints
    at its start (init/version-timestamp.c), in an Image (Documentation/arch/arm64/booting.rst) that may be compressed
    by gzip, and wrapped for EFI (drivers/firmware/efi/libstub/zboot-header.S).

    Raises:
        ValueError: It is no image of a known kind; the message says why.
    """
    if data[0x1FE:0x200] == b"\x55\xaa" and data[0x202:0x206] == b"HdrS":
        return Banner(a="x86", releases=_kernel_version(data))
    if data[4:8] == b"zimg" and len(data) > 56:
        offset, size = struct.unpack_from("<II", data, 8)
        method = data[24:56].partition(b"\0")[0].decode(errors="replace")
        if method != "gzip":
            raise ValueError(f"it is compressed with {method}, inside an EFI program")
        data = data[offset : offset + size]
    if data[:2] == b"\x1f\x8b":
        data = _gunzip(data)
    if data[0x38:0x3C] == b"ARM\x64":
        return Banner(a="arm64", releases=frozenset(match.decode() for match in _BANNER.findall(data)))
    raise ValueError("it is neither a bzImage of x86 nor an Image of arm64")


def _kernel_version(data: bytes) -> frozenset[str]:
    """The field is the text's offset, less 0x200; the text starts with the release and a blank."""
    version, offset = struct.unpack_from("<H", data, 0x206)[0], struct.unpack_from("<H", data, 0x20E)[0]
    if version < 0x200 or offset == 0:
        return frozenset()
    text = data[offset + 0x200 :][:256].partition(b"\0")[0].split()
    return frozenset(word.decode(errors="replace") for word in text[:1])


def _gunzip(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(data, LIMIT)
    except zlib.error as error:
        raise ValueError(f"its gzip is damaged: {error}") from None
