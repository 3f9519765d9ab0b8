"""Pick out of a kernel tree what the headers package takes of it: a change to anything else leaves the headers alone.

Kernels of several architectures are made from one tree. So there is an archive of what all of them take, `common.tar`,
and one for each architecture, `x86.tar`. Each is made anew only for what concerns it.

The choice follows upstream's scripts/package/install-extmod-build (Linux 6.x) and, for older trees, its forerunner in
scripts/package/builddeb; Documentation/kbuild/modules.rst says what a build of external modules uses.
"""

from __future__ import annotations

import argparse
import json
import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

from builder.stages.common import stage_main
from builder.stages.filearchive import write_archive
from builder.stages.journal import Changes, Journal, parse, read

COMMON = "common"
"""The part that is not an architecture's."""
NO_SCRIPTS = ("scripts/atomic", "scripts/dtc", "scripts/kconfig", "scripts/package")
"""Folders of tools that no module build uses, and programs that only kernel builds use."""
_TOP = frozenset(("Makefile", "Kconfig", "Kbuild"))
_NEVER = re.compile(r".*\.(?:o|s|cmd|a|d|pem|x509|priv|key)|\.gitignore|unifdef|mk_elfconfig", re.DOTALL)
_OF_ARCH = frozenset(("Kbuild.platforms", "Platform", "module.lds", "module.lds.S"))
_COPIES = "copies.json"
"""The file that says which archives have copies: what a link leads to that is in none of them, by whatever way."""


def is_taken(name: str) -> bool:
    """Whether a file of this name may be in the headers package."""
    return not _NEVER.fullmatch(name)


def part_of(path: str) -> str | None:
    """The part that a path under the source tree is in; None when the headers package does not take it."""
    first, *rest = path.split("/")
    name = rest[-1] if rest else first
    if not rest:
        return COMMON if name in _TOP else None
    if first == "arch" and len(rest) == 2 and name.startswith(("Makefile", "Kconfig")):
        return rest[0]
    if not is_taken(name):
        return None
    if first == "include" or (first == "scripts" and not path.startswith(tuple(f"{top}/" for top in NO_SCRIPTS))):
        return COMMON
    # Before Linux 5.x an architecture's Makefile ran scripts of its own.
    if first == "arch" and len(rest) > 1 and (name in _OF_ARCH or rest[1] == "scripts" or "include" in rest[:-1]):
        return rest[0]
    return None


def pick(tree: Path, journal: str, out: Path, parts: AbstractSet[str] | None = None) -> None:
    """Write the archives of a tree to the folder `out`.

    Args:
        journal: The text of the tree's journal.
        parts: The only ones to write; None: all.
    """
    entries = parse(journal)
    chosen: dict[str, list[str]] = {COMMON: []}
    for path in entries:
        if (part := part_of(path)) is not None:
            chosen.setdefault(part, []).append(path)
    common = _with_folders(chosen[COMMON])
    copied = _with_copies(out) if parts is not None else set()
    for part in sorted(chosen if parts is None else parts):
        own = chosen.get(part, [])
        files = _resolved(tree, entries, own, common | _with_folders(own))
        write_archive(out / f"{part}.tar", files)
        copied = copied - {part} if files == {path: tree / path for path in own} else copied | {part}
    (out / _COPIES).write_text(json.dumps(sorted(copied)) + "\n")


def _with_folders(paths: Iterable[str]) -> set[str]:
    found = set(paths)
    for path in list(found):
        while (path := posixpath.dirname(path)) and path not in found:
            found.add(path)
    return found


def _resolved(tree: Path, entries: Journal, paths: Iterable[str], inside: AbstractSet[str]) -> dict[str, Path]:
    """The members of an archive: a link that stays inside stays a link, another one becomes what it leads to.

    Args:
        inside: All files and folders that are there once the archives are unpacked.
    """
    files = {path: tree / path for path in paths}
    for path in [path for path in files if entries[path].link]:
        target = str((tree / path).readlink())
        if target.startswith("/") or posixpath.normpath(f"{posixpath.dirname(path)}/{target}") not in inside:
            del files[path]
            files.update(_content(tree, path))
    return files


def _content(tree: Path, path: str) -> Iterator[tuple[str, Path]]:
    """What a link leads to, under the link's own name: nothing, a file, or all files of a folder."""
    try:
        there = (tree / path).resolve(strict=True)
    except (OSError, RuntimeError):  # nothing, or itself
        return
    if there.is_file():
        yield path, there
    for folder, _, names in os.walk(there):
        for name in names:
            file = Path(folder, name)
            if file.is_file():
                yield f"{path}/{file.relative_to(there).as_posix()}", file.resolve()


def _with_copies(out: Path) -> set[str]:
    """The parts that have files which lie elsewhere in the source."""
    return set(json.loads((out / _COPIES).read_text()))


def concerned(changes: Changes, out: Path) -> set[str]:
    """The parts that are others after changes to a tree, and those of which only picking them tells.

    Args:
        out: What `pick` has written of the tree as it was before.
    """
    found = {part for path in changes.all if (part := part_of(path)) is not None}
    return found | (_with_copies(out) if changes.all else set())


def main() -> None:
    """Command line: `--tree T --journal FILE --out DIR`."""
    parser = argparse.ArgumentParser(prog="headerstree", description=__doc__)
    for option in ("--tree", "--journal", "--out"):
        parser.add_argument(option, type=Path, required=True)
    args = parser.parse_args()
    pick(args.tree, read(args.journal), args.out)


if __name__ == "__main__":
    stage_main(main)
