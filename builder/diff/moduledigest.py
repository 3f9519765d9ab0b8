"""What a kernel module is, apart from which build it is of.

Two builds of the same code for two kernel releases give modules that differ in every file: in the release that each
names (`vermagic`), and in what is computed over that. The digest made here leaves those out, so that it changes when
the module's code or data does.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from builder.stages.elf import parse_modinfo
from builder.verify.elfsymbols import string_at

_MODINFO, _SYMTAB = ".modinfo", ".symtab"
_OF_THE_BUILD = frozenset({"vermagic", "srcversion"})
_NOBITS, _ABSOLUTE = 8, 0xFFF1
# What does not run: notes of this very build; what follows from the kernel that it was built for, which is CRCs of the
# symbols that it uses and exports (scripts/mod/modpost.c) and numbers of types (Documentation/bpf/btf.rst); what
# debuggers read.
_LEFT_OUT = (
    *(".note.gnu.build-id", ".note.Linux", ".comment", ".gnu_debuglink", ".shstrtab"),
    *("__versions", "__version_ext_crcs", "__version_ext_names", "__kcrctab", ".BTF", ".debug_"),
)


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What was read of a module.

    Attributes:
        digest: The SHA-256 (hex) of what it is; of all its bytes where it is no ELF file (a compressed one).
        vermagic: The `vermagic` that it names, or None.
    """

    digest: str
    vermagic: str | None = None


def examine(content: bytes, release: str) -> Examined:
    """Look at a module.

    Args:
        content: Its file.
        release: The kernel release that it is of; where its data has that name, the name does not count.
    """
    try:
        return _examined(content, release)
    except (ValueError, struct.error, LookupError):
        return Examined(digest=hashlib.sha256(content).hexdigest())


def _examined(content: bytes, release: str) -> Examined:
    digest = hashlib.sha256()
    vermagic = None
    sections = list(_sections(content))
    placed = {_ABSOLUTE, *(number for number, (name, _, _) in enumerate(sections) if name == _MODINFO)}
    for name, about, data in sections:
        if name.removeprefix(".rela").removeprefix(".rel").startswith(_LEFT_OUT):
            continue
        if name == _MODINFO:
            fields = parse_modinfo(data)
            vermagic = next(iter(fields.get("vermagic", ())), vermagic)
            said = repr(sorted(item for item in fields.items() if item[0] not in _OF_THE_BUILD)).encode()
        elif name == _SYMTAB:
            said = _symbols(data, placed, _order(content), wide=_wide(content))
        else:
            said = data
        said = said.replace(release.encode(), b"V")
        digest.update(f"{name} {about} {len(said)}\n".encode())
        digest.update(said)
    return Examined(digest=digest.hexdigest(), vermagic=vermagic)


def _order(content: bytes) -> str:
    return "<" if content[5] == 1 else ">"


def _wide(content: bytes) -> bool:
    return content[4] == 2


def _sections(content: bytes) -> Iterator[tuple[str, str, bytes]]:
    """Name, type and flags, and content of each section; the layout is that of the System V ABI, chapter 4.

    Raises:
        ValueError, struct.error, LookupError: It is no ELF file, or a damaged one.
    """
    if content[:4] != b"\x7fELF":
        raise ValueError
    wide, order = _wide(content), _order(content)
    start = struct.unpack_from(order + ("Q" if wide else "I"), content, 40 if wide else 32)[0]
    size, count, labels_at = struct.unpack_from(order + "HHH", content, 58 if wide else 46)
    layout = struct.Struct(order + ("IIQQQQ" if wide else "IIIIII"))  # name, type, flags, address, offset, size
    headers = [layout.unpack_from(content, start + number * size) for number in range(count)]
    # Sections lie beside each other; those of a file that pretends otherwise could be read without end.
    if sum(header[5] for header in headers if header[1] != _NOBITS) > len(content):
        raise ValueError
    labels = _part(content, headers[labels_at])
    for header in headers:
        name = string_at(labels, header[0])
        data = b"" if header[1] == _NOBITS else _part(content, header)
        yield name, f"{header[1]} {header[2]} {header[5] if header[1] == _NOBITS else ''}", data


def _part(content: bytes, header: tuple[int, ...]) -> bytes:
    part = content[header[4] : header[4] + header[5]]
    if len(part) != header[5]:
        raise ValueError
    return part


def _symbols(table: bytes, placed: set[int], order: str, *, wide: bool) -> bytes:
    """A symbol table without the values and sizes of some symbols.

    Args:
        placed: The sections that these are in: `.modinfo`, in which places follow from the length of the release's
            name, and none (absolute values: CRCs, before Linux 5.19).
    """
    entry = struct.Struct(order + ("6xH16x" if wide else "14xH"))  # of each symbol, the section that it is in
    if len(table) % entry.size:
        raise ValueError
    kept = bytearray(table)
    start, end = (8, 24) if wide else (4, 12)  # value and size
    for number, (section,) in enumerate(entry.iter_unpack(table)):
        if section in placed:
            at = number * entry.size
            kept[at + start : at + end] = bytes(end - start)
    return bytes(kept)
