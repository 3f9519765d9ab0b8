"""Looks into a bootable kernel image: the certificates that it trusts, which are what its modules are signed for.

x86: the boot protocol (Documentation/arch/x86/boot.rst) says where the compressed kernel is, an ELF file. arm64: the
image is the kernel itself (Documentation/arch/arm64/booting.rst), and starts where System.map has `_text`. Where in
memory the certificates are, System.map says (certs/system_certificates.S).
"""

from __future__ import annotations

import bz2
import lzma
import re
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from builder.errors import RoskError
from builder.process import output_of
from builder.verify.banner import LIMIT
from builder.verify.der import SEQUENCE, values
from builder.verify.model import MissingProgram

_WHERE = re.compile(rb"^([0-9a-f]+) \w (_text|system_certificate_list|system_certificate_list_size)$", re.MULTILINE)
_PROGRAM_HEADER = struct.Struct("<IIQQQQ8x8x")  # type, flags, offset, virtual and physical address, size in the file
_PT_LOAD = 1
# What a compressed kernel starts with, and the program that unpacks it where Python cannot. kbuild writes the size
# behind it, in 4 bytes (scripts/Makefile.lib, size_append).
_PROGRAMS = {b"\x28\xb5\x2f\xfd": "zstd", b"\x02\x21\x4c\x18": "lz4", b"\x89LZO": "lzop"}
_SIZE_BYTES = 4


def certificates(image: bytes, system_map: bytes, work: Path) -> list[bytes]:
    """The certificates (X.509, DER) in a kernel whose keys it trusts from the start.

    Args:
        image: The bootable image.
        system_map: Its System.map.
        work: A folder for what a program has to unpack.

    Raises:
        ValueError: They cannot be found; the message says why.
        MissingProgram: The program that unpacks the image is not there.
    """
    where = {name.decode(): int(address, 16) for address, name in _WHERE.findall(system_map)}
    if not {"system_certificate_list", "system_certificate_list_size"} <= where.keys():
        raise ValueError("System.map knows no system_certificate_list")
    try:
        if image[0x202:0x206] == b"HdrS":
            segments = list(_segments(_unpacked(_payload(image), work)))
        else:
            plain = _unpacked(image, work) if image[:2] == b"\x1f\x8b" else image
            segments = [(where["_text"], memoryview(plain))]
        (size,) = struct.unpack("<Q", _at(segments, where["system_certificate_list_size"], 8))
        found = list(values(_at(segments, where["system_certificate_list"], size)))
    except (struct.error, LookupError, OverflowError, zlib.error, lzma.LZMAError, OSError, EOFError) as error:
        raise ValueError(f"the certificates in the kernel image cannot be found: {error}") from None
    if any(value.tag != SEQUENCE for value in found):
        raise ValueError("the kernel image has something else where its certificates should be")
    return [value.whole for value in found]


def _payload(image: bytes) -> bytes:
    """The compressed kernel of a bzImage (protocol 2.08 or newer)."""
    (version,) = struct.unpack_from("<H", image, 0x206)
    if version < 0x208:
        raise ValueError("the kernel image has too old a header")
    offset, size = struct.unpack_from("<II", image, 0x248)
    start = ((image[0x1F1] or 4) + 1) * 512 + offset
    return image[start : start + size]


def _unpacked(packed: bytes, work: Path) -> bytes:
    if packed[:2] == b"\x1f\x8b":
        return zlib.decompressobj(wbits=31).decompress(packed, LIMIT)
    if packed[:6] == b"\xfd7zXZ\0" or packed[:3] == b"\x5d\0\0":
        return lzma.LZMADecompressor().decompress(packed, LIMIT)
    if packed[:3] == b"BZh":
        return bz2.BZ2Decompressor().decompress(packed, LIMIT)
    if packed[:4] == b"\x7fELF":
        return packed
    if packed[:4] in _PROGRAMS:
        return _by_program(_PROGRAMS[packed[:4]], packed[:-_SIZE_BYTES], work)
    raise ValueError("the kernel image is compressed in an unknown way")


def _by_program(program: str, packed: bytes, work: Path) -> bytes:
    if shutil.which(program) is None:
        raise MissingProgram(program)
    with TemporaryDirectory(prefix="kernel-", dir=work) as folder:
        source = Path(folder, "packed")
        source.write_bytes(packed)
        try:
            with output_of([program, "-d", "-q", "-c", source]) as content:
                return content.read(LIMIT)
        except RoskError as error:
            raise ValueError(f"the kernel image cannot be unpacked: {error.what}") from None


def _segments(elf: bytes) -> Iterator[tuple[int, memoryview]]:
    """What an ELF file loads, and at which addresses."""
    whole = memoryview(elf)
    (offset,) = struct.unpack_from("<Q", elf, 32)
    size, number = struct.unpack_from("<HH", elf, 54)
    for row in range(number):
        kind, _, start, address, _, length = _PROGRAM_HEADER.unpack_from(elf, offset + row * size)
        if kind == _PT_LOAD:
            yield address, whole[start : start + length]


def _at(segments: list[tuple[int, memoryview]], address: int, size: int) -> bytes:
    """What is at an address in memory."""
    for start, content in segments:
        if start <= address and address + size <= start + len(content):
            return bytes(content[address - start : address - start + size])
    raise LookupError(f"nothing is at {address:#x}")
