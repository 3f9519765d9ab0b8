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
_LINKS = "links.json"


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
    links = _read_links(out) if parts is not None else {}
    for part in sorted(chosen if parts is None else parts):
        files, goals = _resolved(tree, entries, chosen.get(part, []))
        write_archive(out / f"{part}.tar", files)
        links[part] = sorted(goals)
    (out / _LINKS).write_text(json.dumps(links, indent=1, sort_keys=True) + "\n")


def _resolved(tree: Path, entries: Journal, paths: Iterable[str]) -> tuple[dict[str, Path], set[str]]:
    """The members of an archive, and what links lead to that is not one of them.

    A link that stays inside the archive stays a link; another one becomes what it leads to.
    """
    files = {path: tree / path for path in paths}
    inside = set(files) | {folder for path in files for folder in _folders(path)}
    goals = set()
    for path in [path for path in files if entries[path].link]:
        target = str((tree / path).readlink())
        goal = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        if target.startswith("/") or goal not in inside:
            goals.add(goal)
            del files[path]
            files.update(_content(tree, path))
    return files, goals


def _content(tree: Path, path: str) -> Iterator[tuple[str, Path]]:
    """What a link leads to, under the link's own name: nothing, a file, or all files of a folder."""
    there = (tree / path).resolve()
    if there.is_file():
        yield path, there
    for folder, _, names in os.walk(there):
        for name in names:
            file = Path(folder, name)
            if file.is_file():
                yield f"{path}/{file.relative_to(there).as_posix()}", file.resolve()


def _folders(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path


def _read_links(out: Path) -> dict[str, list[str]]:
    links: dict[str, list[str]] = json.loads((out / _LINKS).read_text())
    return links


def concerned(changes: Changes, out: Path) -> set[str]:
    """The parts that are others after changes to a tree.

    Args:
        out: What `pick` has written of the tree as it was before.
    """
    found = {part for path in changes.all if (part := part_of(path)) is not None}
    return found | {part for part, goals in _read_links(out).items() if _touches(changes.all, goals)}


def _touches(paths: AbstractSet[str], goals: Iterable[str]) -> bool:
    below = set(goals)
    return any(path in below or not below.isdisjoint(_folders(path)) for path in paths)


def main() -> None:
    """Command line: `--tree T --journal FILE --out DIR`."""
    parser = argparse.ArgumentParser(prog="headerstree", description=__doc__)
    for option in ("--tree", "--journal", "--out"):
        parser.add_argument(option, type=Path, required=True)
    args = parser.parse_args()
    pick(args.tree, read(args.journal), args.out)


if __name__ == "__main__":
    stage_main(main)
