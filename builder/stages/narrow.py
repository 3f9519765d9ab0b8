"""Have kbuild look into the folders of an object tree in which something differs, and no others.

Where nothing differs make finds that out with a make of its own for each folder of the source, which for a whole kernel
takes longer than compiling a module. What differs is known here (`builder.stages.journal`), and kbuild noted of each
object which files it was made from (`.NAME.o.cmd`, by scripts/basic/fixdep). So make is told to start the makes of
other folders with a program that does nothing; all that is no folder's (modpost, linking, the image) it does as ever.

That is for changes to sources of objects alone: a header of all, a file that no object names, or one that something
else is made from has make look everywhere.
"""

from __future__ import annotations

import os
import posixpath
import shlex
import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from builder.stages.common import put_program
from builder.stages.journal import content

FOLDERS = "ROSK_FOLDERS"
"""The variable for the program that stands in for make: what it lets make go into."""

WORDS = ("MAKE=make",)
"""make calls itself by this name, as it does without being told: kbuild keeps commands that have it
(`cmd_link_vmlinux`), and would link the kernel anew with another one. The stand-in is found by PATH."""

COMPILED = (".c", ".S", ".h")
"""What a rule names, or a list of dependencies: make fails without it, or makes anew what was made of it."""

# Headers of all are read by what notes nothing; the others are programs, have some, or are made of others' objects.
_APART = ("arch/", "certs/", "include/", "rust/", "scripts/", "tools/", "usr/", "drivers/firmware/efi/libstub/")
# A make of a folder is `make -f …/scripts/Makefile.build obj=FOLDER …`, one of tools/ has subdir=tools. The image is
# made of vmlinux, whatever folder that changed in.
_MAKE = """\
#!/bin/sh
build= folder=
for word; do
    case $word in
        *scripts/Makefile.build) build=yes ;;
        obj=*) folder=${{word#obj=}} folder=${{folder#./}} ;;
        subdir=tools) exit 0 ;;
    esac
done
case $build,$folder in
    yes,. | yes,arch/*/boot | yes,arch/*/boot/*) ;;
    yes,*) case " ${variable} " in *" $folder "*) ;; *) exit 0 ;; esac ;;
esac
exec {make} "$@"
"""


@dataclass(frozen=True)
class Part:
    """What of an object tree has to be made again.

    Attributes:
        objects: Paths under the object tree.
        since: Nanoseconds since 1970: what was made before is not made of the sources as they are.
    """

    objects: frozenset[str]
    since: int

    @property
    def folders(self) -> list[str]:
        """The folders of the objects, and those that lead to them."""
        parents = {str(parent) for path in self.objects for parent in PurePosixPath(path).parents}
        return sorted(parents - {"."})

    def is_made(self, obj: Path) -> bool:
        """Whether make has made all of the objects."""
        return all(_mtime(obj / path) > self.since for path in self.objects)

    def environment(self, folder: Path, path: str) -> dict[str, str]:
        """What make's environment needs, beside `WORDS` on its command line.

        Args:
            folder: Where the program that stands in for make is put.
            path: PATH without it.
        """
        make = shlex.quote(shutil.which("make") or "make")
        put_program(folder / "make", _MAKE.format(variable=FOLDERS, make=make))
        return {FOLDERS: " ".join(self.folders), "PATH": f"{folder}:{path}"}


def part_of(obj: Path, tree: Path, notes: Iterable[str], changed: Collection[str], since: int) -> Part | None:
    """What has to be made again after a change of sources, or None where that cannot be told.

    Args:
        obj: The object tree; make has come to its end there, with success, before the change.
        tree: The source tree.
        notes: The `.cmd` files of kbuild, as paths under the object tree.
        changed: The files that differ, as paths under the source tree; they were there before.
        since: When they changed: nanoseconds since 1970.
    """
    if any(path.startswith(_APART) or not path.endswith(COMPILED) for path in changed):
        return None
    wanted = {f"{tree}/{path}" for path in changed}
    names = [os.fsencode(f"/{name}") for name in {posixpath.basename(path) for path in changed}]
    objects: set[str] = set()
    found: set[str] = set()
    for note in notes:
        text = content(f"{obj}/{note}")
        if not any(name in text for name in names):
            continue
        if not (named := wanted & _named(text, names, obj)):
            continue
        target = _object(text, note)
        if not target:
            return None
        found |= named
        objects.add(target)
    return Part(frozenset(objects), since) if found == wanted else None


def _named(text: bytes, names: Collection[bytes], obj: Path) -> set[str]:
    """The files with these names that a note has, as kbuild's commands are run in `obj`."""
    words = (word.rstrip(b";\\)") for word in text.split() if any(name in word for name in names))
    return {posixpath.normpath(posixpath.join(str(obj), os.fsdecode(word))) for word in words}


def _object(text: bytes, note: str) -> str | None:
    """The object that a note is of, where make is to find it in the folder of that name."""
    variable = os.fsdecode(text.split(maxsplit=1)[0])
    folder, _, name = note.rpartition("/")
    target = f"{folder}/{name.removeprefix('.').removesuffix('.cmd')}"
    if variable.partition("_")[2] != target or not target.endswith(".o") or target.startswith(_APART):
        return None
    return target


def _mtime(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
