"""Reads what rosk needs of an ELF file: a kernel module's `.modinfo`, a program's libraries.

Only the file's headers and the sections asked for are read, so that thousands of modules take about a second.
Source of the layout: System V ABI, chapter 4 (gabi); the fields of `.modinfo`: include/linux/module.h.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from builder.stages.common import StageError

DT_NEEDED = 1
_LONGEST = 4096


@dataclass(frozen=True, kw_only=True)
class Elf:
    """An ELF file's kind and the sections that were asked for and are there.

    Attributes:
        machine: `e_machine`, for example 62 (x86-64) or 183 (AArch64).
        wide: Whether it is ELF64.
        order: `<` (little-endian) or `>`.
        sections: Name → content.
    """

    machine: int
    wide: bool
    order: str
    sections: dict[str, bytes]


def read_elf(path: Path, *names: str) -> Elf:
    """Read the sections `names` of a file.

    Raises:
        StageError: It is not an ELF file, or ends too early.
    """
    fd = os.open(path, os.O_RDONLY)
    try:
        return _read(fd, names)
    except (struct.error, IndexError, OverflowError):
        raise StageError(f"{path} is a damaged ELF file", hint="build it again") from None
    except ValueError:
        raise StageError(f"{path} is not an ELF file") from None
    finally:
        os.close(fd)


def modinfo(path: Path) -> dict[str, list[str]]:
    """The fields of a module: `{"license": ["GPL"], "depends": ["a,b"], "softdep": ["pre: c"], ...}`.

    Raises:
        StageError: It is not a kernel module.
    """
    content = read_elf(path, ".modinfo").sections.get(".modinfo")
    if content is None:
        raise StageError(f"{path} is not a kernel module: it has no .modinfo section")
    return parse_modinfo(content)


def parse_modinfo(content: bytes) -> dict[str, list[str]]:
    """The `key=value` strings of a `.modinfo` section, each ended by NUL."""
    fields: dict[str, list[str]] = {}
    for item in content.decode(errors="replace").split("\0"):
        key, equals, value = item.partition("=")
        if equals:
            fields.setdefault(key, []).append(value)
    return fields


def libraries(path: Path) -> tuple[str | None, list[str]]:
    """A program's or library's loader (`/lib64/ld-linux-x86-64.so.2`, None when static) and the libraries it names."""
    elf = read_elf(path, ".interp", ".dynamic", ".dynstr")
    strings = elf.sections.get(".dynstr", b"")
    needed = [
        _string(strings, value)
        for tag, value in struct.iter_unpack(
            elf.order + ("qQ" if elf.wide else "iI"), elf.sections.get(".dynamic", b"")
        )
        if tag == DT_NEEDED
    ]
    interp = elf.sections.get(".interp")
    return (_string(interp, 0) if interp else None), needed


def _read(fd: int, names: tuple[str, ...]) -> Elf:
    head = os.pread(fd, 64, 0)
    if head[:4] != b"\x7fELF":
        raise ValueError
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    _, machine, _, _, _, shoff, _, _, _, _, shentsize, shnum, shstrndx = struct.unpack_from(
        order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"), head, 16
    )
    table = os.pread(fd, shentsize * shnum, shoff)
    section = struct.Struct(order + ("IIQQQQ" if wide else "IIIIII"))  # name, type, flags, addr, offset, size
    headers = [section.unpack_from(table, index * shentsize) for index in range(shnum)]
    if not headers:
        return Elf(machine=machine, wide=wide, order=order, sections={})
    labels = _content(fd, headers[shstrndx])
    found = {}
    for header in headers:
        name = _string(labels, header[0])
        if name in names and name not in found:  # the kernel takes the first, too (kernel/module/main.c)
            found[name] = _content(fd, header)
    return Elf(machine=machine, wide=wide, order=order, sections=found)


def _content(fd: int, header: tuple[int, ...]) -> bytes:
    """A section's bytes."""
    offset, size = header[4], header[5]
    content = os.pread(fd, size, offset)
    if len(content) != size:
        raise IndexError
    return content


def _string(table: bytes, offset: int) -> str:
    """The NUL-ended string at an offset of a string table, or the start of one that is longer than any path."""
    return table[offset : offset + _LONGEST].split(b"\0", 1)[0].decode(errors="replace")
