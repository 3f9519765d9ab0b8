"""The symbol table of a kernel module: what it needs, what it exports, and which versions (CRCs) of them.

Source of the layout: System V ABI, chapter 4 (gabi), Symbol Table. Of exports and versions: include/linux/export.h,
include/linux/export-internal.h, kernel/module/version.c. Only ELF64 in little-endian order is read: x86-64 and arm64.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from builder.stages.common import StageError
from builder.stages.elf import parse_modinfo

_ELF64_LITTLE = b"\x7fELF\x02\x01"
_HEADER = struct.Struct("<16xHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
# struct modversion_info (include/linux/module.h): an unsigned long, and the name in what is left of 64 bytes.
_VERSION = struct.Struct("<Q56s")
_SHT_SYMTAB, _SHT_NOBITS = 2, 8
_SHN_UNDEF, _SHN_ABS, _SHN_LORESERVE = 0, 0xFFF1, 0xFF00
_STB_WEAK = 2
_LONGEST = 1024  # bytes of a name: of a symbol KSYM_NAME_LEN (include/linux/kallsyms.h), a section may be named by it
_EXPORT, _CRC = b"__ksymtab_", b"__crc_"


@dataclass(frozen=True, kw_only=True)
class ModuleSymbols:
    """What the symbol table of a module says.

    Attributes:
        needs: Symbols that the kernel must find when it loads the module.
        weak: Symbols that it uses when they are there.
        exports: Each exported symbol and its CRC, None where it has none.
        versions: The CRCs of other's symbols that it was built against.
        modinfo: Its `.modinfo`, see `builder.stages.elf.modinfo`.
    """

    needs: frozenset[str]
    weak: frozenset[str]
    exports: Mapping[str, int | None]
    versions: Mapping[str, int]
    modinfo: Mapping[str, list[str]]


class _Section(NamedTuple):
    """A section's row of the table: the fields that are used, and its name."""

    name: str
    kind: int
    link: int
    content: memoryview


def read_symbols(path: Path) -> ModuleSymbols:
    """Read a module's symbols.

    Raises:
        StageError: It is no module for a 64-bit machine in little-endian order, or a damaged one.
    """
    try:
        return parse_symbols(path.read_bytes())
    except (struct.error, IndexError, ValueError, OverflowError):
        raise StageError(f"{path} is not a module, or a damaged one", hint="build it again") from None


def parse_symbols(data: bytes) -> ModuleSymbols:
    """The symbols of a module with this content.

    Raises:
        struct.error, IndexError, ValueError, OverflowError: It is none, or a damaged one.
    """
    sections = _sections(data)
    (table,) = (section for section in sections if section.kind == _SHT_SYMTAB)
    names = bytes(sections[table.link].content)
    needs: set[str] = set()
    weak: set[str] = set()
    crcs: dict[str, int] = {}
    exports: dict[str, int | None] = {}
    defines = _EXPORT in names or _CRC in names  # most modules export nothing, and have hundreds of symbols
    for name, info, _, index, value, _ in _SYMBOL.iter_unpack(table.content):
        if index == _SHN_UNDEF:
            if name:
                (weak if info >> 4 == _STB_WEAK else needs).add(string_at(names, name))
        elif not defines:
            continue
        elif names.startswith(_EXPORT, name):
            exports[string_at(names, name + len(_EXPORT))] = None
        elif names.startswith(_CRC, name):
            crcs[string_at(names, name + len(_CRC))] = _crc(sections, index, value)
    versions: dict[str, int] = {}
    modinfo: dict[str, list[str]] = {}
    named = {section.name: section.content for section in sections}
    if ".modinfo" in named:
        modinfo = parse_modinfo(bytes(named[".modinfo"]))
    if "__versions" in named:
        versions |= {_text(name): crc for crc, name in _VERSION.iter_unpack(named["__versions"])}
    if "__version_ext_names" in named:
        versions |= _extended(named["__version_ext_crcs"], named["__version_ext_names"])
    return ModuleSymbols(
        needs=frozenset(needs),
        weak=frozenset(weak),
        exports={name: crcs.get(name) for name in exports},
        versions=versions,
        modinfo=modinfo,
    )


def _sections(data: bytes) -> list[_Section]:
    if data[: len(_ELF64_LITTLE)] != _ELF64_LITTLE:
        raise ValueError
    header = _HEADER.unpack_from(data)
    offset, size, count, labels_at = header[5], header[10], header[11], header[12]
    if size != _SECTION.size:
        raise ValueError
    rows = [_SECTION.unpack_from(data, offset + number * size) for number in range(count)]
    whole = memoryview(data)
    contents = [_content(whole, row) for row in rows]
    labels = bytes(contents[labels_at])
    return [
        _Section(string_at(labels, row[0]), row[1], row[6], content)
        for row, content in zip(rows, contents, strict=True)
    ]


def _content(data: memoryview, row: tuple[int, ...]) -> memoryview:
    kind, offset, size = row[1], row[4], row[5]
    if kind == _SHT_NOBITS:
        return data[:0]
    if offset + size > len(data):
        raise IndexError
    return data[offset : offset + size]


def _crc(sections: list[_Section], index: int, value: int) -> int:
    """The CRC that a symbol `__crc_…` stands for: its value, or since Linux 5.19 the word that it points to."""
    if index == _SHN_ABS:
        return value & 0xFFFFFFFF
    if index >= _SHN_LORESERVE:
        raise IndexError
    (crc,) = struct.unpack_from("<I", sections[index].content, value)
    return int(crc)


def _extended(crcs: memoryview, names: memoryview) -> dict[str, int]:
    """CONFIG_EXTENDED_MODVERSIONS: 32-bit CRCs in one section, the names, each ended by NUL, in another."""
    words = bytes(names).split(b"\0")[:-1]
    return {_text(name): crc for name, (crc,) in zip(words, struct.iter_unpack("<I", crcs), strict=True)}


def string_at(table: bytes, offset: int) -> str:
    """The NUL-ended string at an offset of a string table.

    Raises:
        ValueError: It has no end, or is longer than any: thousands may share one end.
    """
    return table[offset : table.index(b"\0", offset, offset + _LONGEST)].decode(errors="replace")


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode(errors="replace")
