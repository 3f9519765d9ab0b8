"""Pick out of a kernel tree what configuring it reads: Kconfig files, Makefiles, scripts, and files that these name.

The config then depends on these files only, and a change to anything else leaves it as it was. What kconfig reads is
said by itself: `source` lines, and `$(srctree)/PATH` in its `$(shell,…)` and `$(success,…)` macros
(Documentation/kbuild/kconfig-macro-language.rst).
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from builder.stages.common import stage_main
from builder.stages.signingoptions import VERIFIERS

_NAMES = ("Kconfig", "Makefile", "Kbuild", "localversion")
_FOLDERS = ("scripts", "certs")
_SOURCE = re.compile(r"^\s*(?:o|r|or)?source\s+\"?([^\"\n]+?)\"?\s*$", re.MULTILINE)
_NAMED = re.compile(r"\$\(?\{?(?:srctree|abs_srctree)\}?\)?/([\w./+-]+)")
_VARIABLE = re.compile(r"\$\([^)]*\)|\$\{[^}]*\}|\$\w+")


def chosen(tree: Path) -> Iterator[Path]:
    """The paths under `tree` that configuring, and rosk's checks of a config, may read; links are among them."""
    texts: list[str] = []
    yield from (path for name in VERIFIERS if (path := tree / name).is_file())
    for folder in _FOLDERS:
        yield from (path for path in (tree / folder).rglob("*") if path.is_symlink() or path.is_file())
    for path in tree.rglob("*"):
        if not path.name.startswith(_NAMES) or not (path.is_symlink() or path.is_file()):
            continue
        if path.name.startswith("Kconfig") and path.is_file():
            texts.append(path.read_text(errors="replace"))
        yield path
    yield from _named(tree, texts)


def _named(tree: Path, texts: list[str]) -> Iterator[Path]:
    """What the texts of Kconfig files name, and what the files that they source name in turn."""
    seen: set[Path] = set()
    while texts:
        text = texts.pop()
        patterns = {_VARIABLE.sub("*", name) for name in _SOURCE.findall(text)}
        for path in {found for pattern in patterns for found in _glob(tree, pattern)} - seen:
            seen.add(path)
            texts.append(path.read_text(errors="replace"))
        for name in _NAMED.findall(text):
            found = tree / name.rstrip(".")
            if found.is_file():
                seen.add(found)
            elif found.is_dir() and found != tree:
                seen.update(path for path in found.rglob("*") if path.is_file())
    yield from seen


def _glob(tree: Path, pattern: str) -> Iterator[Path]:
    pattern = pattern.removeprefix("*/").lstrip("/")
    return (path for path in tree.glob(pattern) if path.is_file()) if pattern.strip("*/") else iter(())


def pick(tree: Path, out: Path) -> None:
    """Copy the chosen files of `tree` to `out`."""
    for path in set(chosen(tree)):
        target = out / path.relative_to(tree)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target, follow_symlinks=False)


def main() -> None:
    """Command line: `--tree T --out DIR`."""
    parser = argparse.ArgumentParser(prog="kconfigtree", description=__doc__)
    for option in ("--tree", "--out"):
        parser.add_argument(option, type=Path, required=True)
    args = parser.parse_args()
    pick(args.tree, args.out)


if __name__ == "__main__":
    stage_main(main)
