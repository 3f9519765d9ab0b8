"""Which objects of assembler source have symbol versions that a change makes stale.

With CONFIG_MODVERSIONS kbuild preprocesses `asm/asm-prototypes.h` for each assembler source that exports symbols, and
adds the versions that come of it to the object's note (scripts/Makefile.build, `cmd_gensymtypes_S`). What it reads for
that it notes nowhere: neither the header's change nor that of an option which it asks for makes the object anew.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from builder.stages.journal import content

_FIRST = ("linux/kernel.h", "linux/string.h", "asm/asm-prototypes.h")
"""What kbuild includes."""
_INCLUDE = re.compile(rb"^[ \t]*#[ \t]*include[ \t]*[<\"]([^>\"\n]+)", re.MULTILINE)
_OPTION = re.compile(rb"\bCONFIG_(\w+)")
_SOURCE = re.compile(rb"^source_\S+ := \S+\.S$", re.MULTILINE)
_VERSION = b"#SYMVER "
"""What a version begins with in an object's note."""


def stale(obj: Path, tree: Path, srcarch: str, sources: Collection[str], options: Collection[str]) -> list[str]:
    """The objects that have to be made again, as paths under the object tree.

    Args:
        obj: The object tree, as it was left.
        tree: The source tree.
        srcarch: The architecture's folder: x86, arm64.
        sources: Files that differ, as paths under the source tree.
        options: Options, without CONFIG_, that have another value.
    """
    headers = {path for path in sources if path.endswith(".h")}
    if not headers and not options:
        return []
    if all((tree / path).is_file() for path in headers):
        read, asked = _prototypes(obj, tree, srcarch)
        if not (headers & read or asked.intersection(options)):
            return []
    return sorted(_versioned(obj))


def _prototypes(obj: Path, tree: Path, srcarch: str) -> tuple[set[str], set[str]]:
    """All headers of the source tree that may be read for the versions, and all options that these name."""
    arch = f"arch/{srcarch}/include"
    folders = [(tree, f"{arch}/"), (obj, f"{arch}/generated/"), (tree, "include/"), (obj, "include/")]
    folders += [(tree, f"{arch}/uapi/"), (obj, f"{arch}/generated/uapi/"), (tree, "include/uapi/")]
    folders.append((obj, "include/generated/uapi/"))
    read: set[tuple[Path, str]] = set()
    asked: set[str] = set()
    todo = [(top, f"{folder}{name}") for name in _FIRST for top, folder in folders]
    while todo:
        top, path = todo.pop()
        if (top, path) in read:
            continue
        try:
            text = content(f"{top}/{path}")
        except OSError:
            continue
        read.add((top, path))
        asked.update(option.decode() for option in _OPTION.findall(text))
        for name in map(os.fsdecode, _INCLUDE.findall(text)):
            todo += [(each, posixpath.normpath(f"{folder}{name}")) for each, folder in folders]
            todo.append((top, posixpath.normpath(f"{posixpath.dirname(path)}/{name}")))
    return {path for top, path in read if top == tree}, asked


def _versioned(obj: Path) -> Iterator[str]:
    """The objects of assembler source that have versions, or may have: kernels before 5.19 do not note these."""
    assembled = {}
    for note in obj.rglob(".*.o.cmd"):
        text = content(str(note))
        if _SOURCE.search(text):
            assembled[str(note.relative_to(obj).with_name(note.name[1 : -len(".cmd")]))] = _VERSION in text
    noted = any(assembled.values())
    return (path for path, has in assembled.items() if has or not noted)
