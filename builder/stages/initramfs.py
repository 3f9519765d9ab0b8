"""Have what CONFIG_INITRAMFS_SOURCE names packed anew, with times that do not depend on when it was written.

kbuild goes by the times of the files that it packs, and looks at no modes; the archive has both. usr/gen_init_cpio of
most versions takes a file's time as it is, also where it is told a date for all else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

_SOURCE = re.compile(r'^CONFIG_INITRAMFS_SOURCE="(.+)"$', re.MULTILINE)


def names(config: str) -> list[str]:
    """The folders, lists of files (the form is that of usr/gen_init_cpio) and archives that a .config names."""
    found = _SOURCE.search(config)
    return found[1].split() if found else []


def prepare(config: str, tree: Path, obj: Path, epoch: int) -> None:
    """Remove the archive from an object tree, where it is made of a config's files, and date these.

    Args:
        config: The text of the .config.
        tree: The source tree.
        obj: The object tree; kbuild runs in it, and relative names start there.
        epoch: Seconds since 1970.
    """
    named = names(config)
    for path in (obj / "usr").glob("*initramfs*") if named else ():
        path.unlink()
    for name in named:
        for path in _packed(obj / name if (obj / name).exists() else tree / name, obj):
            os.utime(path, (epoch, epoch))


def _packed(path: Path, obj: Path) -> Iterator[Path]:
    """The files that are packed for a folder or a list of files; none for what is an archive already."""
    if path.is_dir():
        yield from (each for each in path.rglob("*") if each.is_file() and not each.is_symlink())
    elif path.is_file() and not re.search(r"\.cpio(?:\.\w+)?$", path.name):
        yield path
        lines = (line.split() for line in path.read_text(errors="surrogateescape").splitlines())
        files = (obj / words[2] for words in lines if len(words) > 2 and words[0] == "file")
        yield from (file for file in files if file.is_file())
