"""Small ELF files made by hand: modules with a chosen `.modinfo`, programs with chosen libraries."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

X86_64, AARCH64 = 62, 183


def make_elf(sections: Mapping[str, bytes], *, machine: int = X86_64, wide: bool = True, order: str = "<") -> bytes:
    """An ELF file with these sections, and no code."""
    names = ["", *sections, ".shstrtab"]
    labels = b"".join(name.encode() + b"\0" for name in names)
    contents = [b"", *sections.values(), labels]
    header_size, entry_size = (64, 64) if wide else (52, 40)
    body, rows, label = b"", [], 0
    for index, (name, content) in enumerate(zip(names, contents, strict=True)):
        kind = 0 if index == 0 else 1  # SHT_NULL, SHT_PROGBITS
        offset = header_size + len(body)
        rows.append(
            struct.pack(
                order + ("IIQQQQIIQQ" if wide else "IIIIIIIIII"), label, kind, 0, 0, offset, len(content), 0, 0, 1, 0
            )
        )
        body += content
        label += len(name) + 1
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    layout = order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH")
    table = header_size + len(body)
    head = struct.pack(layout, 1, machine, 1, 0, 0, table, 0, header_size, 0, 0, entry_size, len(names), len(names) - 1)
    return ident + head + body + b"".join(rows)


def write_module(root: Path, path: str, **fields: str | Sequence[str]) -> Path:
    """Write a module below a lib/modules/RELEASE folder; `softdep=["pre: a", "pre: b"]` are two strings of a key."""
    strings = [
        f"{key}={value}".encode()
        for key, values in fields.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    module = root / path
    module.parent.mkdir(parents=True, exist_ok=True)
    module.write_bytes(make_elf({".modinfo": b"".join(string + b"\0" for string in strings)}))
    return module


def make_program(*needed: str, loader: str | None = None, machine: int = X86_64) -> bytes:
    """A program or library that names its libraries, and a loader if it is no library."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in needed)
    offsets = [names.index(b"\0" + name.encode() + b"\0") + 1 for name in needed]
    dynamic = b"".join(struct.pack("<qQ", 1, offset) for offset in offsets) + struct.pack("<qQ", 0, 0)
    sections = {".dynstr": names, ".dynamic": dynamic} if needed or loader else {".text": b"\x90"}
    if loader:
        sections[".interp"] = loader.encode() + b"\0"
    return make_elf(sections, machine=machine)
