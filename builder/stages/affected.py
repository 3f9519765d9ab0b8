"""What of an object tree a change of sources or of options makes stale, told by what kbuild leaves there.

kbuild notes of each object which files it was made from, and which options those ask for (`.NAME.o.cmd`, by
scripts/basic/fixdep). Which objects there are, and with which flags, follows from the Makefiles
(`builder.stages.optionfolders`).
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from builder.stages.journal import content
from builder.stages.narrow import Part
from builder.stages.optionfolders import Folders, Makefiles

SOURCES = (".c", ".S")
COMPILED = (*SOURCES, ".h")
"""What kbuild notes of each object: a list of dependencies has it, or it is the source (`made_of`)."""

# Headers of all are read by what notes nothing; the others are programs, have some, or are made of others' objects.
_APART = ("arch/", "certs/", "include/", "rust/", "scripts/", "tools/", "usr/", "drivers/firmware/efi/libstub/")
_SYNCED = "include/config/"
_AUTOCONF = "include/generated/autoconf.h"
_OF_IMAGE = re.compile(r"arch/[^/]+/boot/")
"""Its headers say where things lie in vmlinux, and nothing else has them."""
_COLLECTING = (".mod.cmd", ".a.cmd")
"""The notes of what is a list of objects, or an archive of them."""
_MOST_OPTIONS = 50
"""Each is looked for in all notes."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What differs from what an object tree was made of.

    Attributes:
        sources: Files, as paths under the source tree; they were there before.
        options: Options, without CONFIG_, that have another value; None where the config is the same text.
        since: When that was: nanoseconds since 1970.
    """

    sources: Collection[str]
    options: Collection[str] | None
    since: int


def made_of(obj: Path, tree: Path, sources: Collection[str]) -> list[str]:
    """The paths in an object tree of what was compiled from some sources, and of kbuild's notes of it.

    Where a source is gone, make takes them for made, and no more: the rule that names a source is a pattern
    (scripts/Makefile.build), which does not fit then, and fixdep leaves the source out of the dependencies.

    Args:
        sources: Paths under the source tree.
    """
    wanted = {f"{tree}/{path}" for path in sources}
    names = [os.fsencode(f"/{posixpath.basename(path)}") for path in sources]
    found: list[str] = []
    for note in obj.rglob(".*.cmd") if names else ():
        lines = [line for line in content(str(note)).splitlines() if line.startswith(b"source_")]
        if any(wanted & _named(line, names, obj) for line in lines):
            target = note.with_name(note.name.removeprefix(".").removesuffix(".cmd"))
            found += [str(path.relative_to(obj)) for path in (target, note)]
    return found


def part_of(obj: Path, files: Collection[str], makefiles: Makefiles, change: Change) -> Part | None:
    """What has to be made again, or None where that cannot be told.

    Args:
        obj: The object tree; make has come to its end there, with success, before the change.
        files: The paths of its files, under it.
        makefiles: Those of the source tree; they are the same as before.
        change: What differs.
    """
    if any(path.startswith(_APART) or not path.endswith(COMPILED) for path in change.sources):
        return None
    folders = _folders(files, makefiles, change.options)
    stale = folders and _stale(obj, makefiles.tree, [path for path in files if path.endswith(".cmd")], change)
    if not folders or not stale:
        return None
    objects, users = stale
    return Part(
        objects,
        change.since,
        alone=folders.alone | users,
        whole=folders.whole,
        headers=tuple(
            path for path in files if path.endswith(".h") and path != _AUTOCONF and not _OF_IMAGE.match(path)
        ),
    )


def _folders(files: Collection[str], makefiles: Makefiles, options: Collection[str] | None) -> Folders | None:
    """Where make has to look for other options; scripts/ has what makes the new config known."""
    if options is None:
        return Folders()
    noted_by_other_names = any(path.count("/") > 2 for path in files if path.startswith(_SYNCED))  # before Linux 5.14
    if len(options) > _MOST_OPTIONS or noted_by_other_names:
        return None
    found = makefiles.folders(options)
    return found and found | Folders(whole=frozenset({"scripts"}))


def _stale(
    obj: Path, tree: Path, notes: Collection[str], change: Change
) -> tuple[frozenset[str], frozenset[str]] | None:
    """The objects that are made of what differs, and the folders in which those of other folders are linked."""
    wanted = {f"{tree}/{path}" for path in change.sources}
    names = [os.fsencode(f"/{name}") for name in {posixpath.basename(path) for path in change.sources}]
    options = [os.fsencode(f"{_SYNCED}{option})") for option in change.options or ()]
    objects: set[str] = set()
    found: set[str] = set()
    lists: dict[str, bytes] = {}
    for note in notes if names or options else ():
        text = content(f"{obj}/{note}")
        if note.endswith(_COLLECTING) and b"../" in text:
            lists[note] = text
        named = wanted & _named(text, names, obj) if any(name in text for name in names) else set()
        if not named and not any(option in text for option in options):
            continue
        target = _object(text, note)
        if not target:
            return None
        found |= named
        objects.add(target)
    users = {posixpath.dirname(note) for note, text in lists.items() if objects & _listed(text, note)}
    return (frozenset(objects), frozenset(users)) if found == wanted else None


def _named(text: bytes, names: Collection[bytes], obj: Path) -> set[str]:
    """The files with these names that a note has, as kbuild's commands are run in `obj`."""
    words = (word.rstrip(b";\\)") for word in text.split() if any(name in word for name in names))
    return {posixpath.normpath(posixpath.join(str(obj), os.fsdecode(word))) for word in words}


def _listed(text: bytes, note: str) -> set[str]:
    """The objects of other folders in the note of a list, whose words are relative to its folder, or to the top."""
    words = [os.fsdecode(word) for word in text.split() if b"../" in word]
    return {posixpath.normpath(f"{start}{word}") for word in words for start in ("", f"{posixpath.dirname(note)}/")}


def _object(text: bytes, note: str) -> str | None:
    """The object that a note is of, where make is to find it in the folder of that name."""
    variable = os.fsdecode(text.split(maxsplit=1)[0])
    folder, _, name = note.rpartition("/")
    target = f"{folder}/{name.removeprefix('.').removesuffix('.cmd')}"
    if variable.partition("_")[2] != target or not target.endswith(".o") or target.startswith(_APART):
        return None
    return target
