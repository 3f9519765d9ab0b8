"""Pick out of a kernel tree what configuring it reads: Kconfig files, Makefiles, scripts, and files that these name.

The config then depends on these files only, and a change to anything else leaves it as it was. They are handed on as
one archive, which is the same when they are, and which is made anew only for what concerns it.

What kconfig reads is said by itself: `source` lines, and `$(srctree)/PATH` in its `$(shell,…)` and `$(success,…)`
macros (Documentation/kbuild/kconfig-macro-language.rst).
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

from builder.stages.common import stage_main
from builder.stages.filearchive import write_archive
from builder.stages.journal import Changes, content, paths_of, read
from builder.stages.signingoptions import PARSER, VERIFIERS

_NAMES = ("Kconfig", "Makefile", "Kbuild", "localversion")
_FOLDERS = ("scripts/", "certs/")
_SOURCE = re.compile(r"^\s*(?:o|r|or)?source\s+\"?([^\"\n]+?)\"?\s*$", re.MULTILINE)
_NAMED = re.compile(r"\$\(?\{?(?:srctree|abs_srctree)\}?\)?/([\w./+-]+)")
_VARIABLE = re.compile(r"\$\([^)]*\)|\$\{[^}]*\}|\$\w+")


def chosen(tree: Path, paths: AbstractSet[str]) -> set[str]:
    """Of the paths under `tree`, those that configuring, and rosk's checks of a config, may read."""
    found = {path for path in paths if path.startswith(_FOLDERS) or path.rpartition("/")[2].startswith(_NAMES)}
    found.update((*VERIFIERS, PARSER))
    texts = [_text(tree, path) for path in found if path.rpartition("/")[2].startswith("Kconfig")]
    return (found | set(_named(tree, paths, texts))) & paths


def _named(tree: Path, paths: AbstractSet[str], texts: list[str]) -> Iterator[str]:
    """What the texts of Kconfig files name, and what the files that they source name in turn."""
    seen: set[str] = set()
    while texts:
        text = texts.pop()
        for path in _sourced(tree, paths, text) - seen:
            seen.add(path)
            texts.append(_text(tree, path))
        for name in _NAMED.findall(text):
            path = os.path.normpath(name.rstrip("."))
            if path in paths:
                seen.add(path)
            elif path != "." and (tree / path).is_dir():
                seen.update(below for below in paths if below.startswith(f"{path}/"))
    yield from seen


def _sourced(tree: Path, paths: AbstractSet[str], text: str) -> set[str]:
    """The paths that the `source` lines of a text name; a variable stands for any part of a path."""
    names = {_VARIABLE.sub("*", name).removeprefix("*/").lstrip("/") for name in _SOURCE.findall(text)}
    found = set(names & paths)
    for name in names:
        if "*" in name and name.strip("*/"):
            like = re.compile(re.escape(name).replace(r"\*", "[^/]*"))
            found.update(path for path in paths if like.fullmatch(path))
    return {path for path in found if (tree / path).is_file()}


def _text(tree: Path, path: str) -> str:
    file = tree / path
    return content(str(file)).decode(errors="replace") if file.is_file() else ""


def pick(tree: Path, journal: str, out: Path) -> None:
    """Write `files.tar`, the chosen files of a tree, and `names`, the paths of these, to the folder `out`.

    Args:
        journal: The text of the tree's journal.
    """
    paths = sorted(chosen(tree, paths_of(journal)))
    write_archive(out / "files.tar", {path: tree / path for path in paths})
    (out / "names").write_text("\0".join(paths), errors="surrogateescape")


def concerns(changes: Changes, out: Path) -> bool:
    """Whether other files would be chosen after changes to a tree, or what was chosen would differ.

    Args:
        out: What `pick` has written of the tree as it was before.
    """
    names = (out / "names").read_text(errors="surrogateescape").split("\0")
    return bool(changes.added or changes.removed or changes.changed & set(names))


def main() -> None:
    """Command line: `--tree T --journal FILE --out DIR`."""
    parser = argparse.ArgumentParser(prog="kconfigtree", description=__doc__)
    for option in ("--tree", "--journal", "--out"):
        parser.add_argument(option, type=Path, required=True)
    args = parser.parse_args()
    pick(args.tree, read(args.journal), args.out)


if __name__ == "__main__":
    stage_main(main)
