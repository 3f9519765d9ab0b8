"""Have kbuild look into the folders of an object tree in which something differs, and no others.

Where nothing differs make finds that out with a make of its own for each folder of the source, which for a whole kernel
takes longer than compiling a module. What differs is known here (`builder.stages.affected`). So make is told to start
the makes of other folders with a program that does nothing; all that is no folder's (modpost, linking, the image) it
does as ever.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from builder.stages.common import put_program

FOLDERS = "ROSK_FOLDERS"
"""The variable for the program that stands in for make, with the folders that make may look into: patterns of a shell's
`case`, for names that end with a slash."""

WORDS = ("MAKE=make",)
"""make calls itself by this name, as it does without being told: kbuild keeps commands that have it
(`cmd_link_vmlinux`), and would link the kernel anew with another one. The stand-in is found by PATH."""

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
    yes,*)
        set -f
        for pattern in ${variable}; do
            case $folder/ in $pattern) exec {make} "$@" ;; esac
        done
        exit 0
        ;;
esac
exec {make} "$@"
"""


@dataclass(frozen=True)
class Part:
    """What of an object tree has to be made again.

    Attributes:
        objects: Paths under the object tree.
        since: Nanoseconds since 1970: what was made before is not made of what there is now.
        alone: Folders that make looks into beside those of the objects, but not into the folders in them.
        whole: Folders that it looks into with all that lies in them.
        headers: Headers of the object tree; all is made of them, so that none may be made again.
    """

    objects: frozenset[str]
    since: int
    alone: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()
    headers: Sequence[str] = ()

    @property
    def folders(self) -> list[str]:
        """The folders that make looks into, with those that lead there; `FOLDER/*` is one with all that lies in it."""
        inside = [*self.objects, *(f"{folder}/*" for folder in self.alone | self.whole)]
        parents = {str(parent) for path in inside for parent in PurePosixPath(path).parents} - {"."}
        return sorted(parents - self.whole | {f"{folder}/*" for folder in self.whole})

    def is_made(self, obj: Path) -> bool:
        """Whether make has made all of the objects, and nothing that others are made of."""
        return all(_mtime(obj / path) > self.since for path in self.objects) and not any(
            _mtime(obj / path) > self.since for path in self.headers
        )

    def environment(self, folder: Path, path: str) -> dict[str, str]:
        """What make's environment needs, beside `WORDS` on its command line.

        Args:
            folder: Where the program that stands in for make is put.
            path: PATH without it.
        """
        make = shlex.quote(shutil.which("make") or "make")
        put_program(folder / "make", _MAKE.format(variable=FOLDERS, make=make))
        patterns = (path if path.endswith("/*") else f"{path}/" for path in self.folders)
        return {FOLDERS: " ".join(patterns), "PATH": f"{folder}:{path}"}


def _mtime(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
