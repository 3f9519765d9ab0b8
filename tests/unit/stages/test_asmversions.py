"""Which objects have symbol versions that a change makes stale, without kbuild's noticing."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.stages.asmversions import stale

MEMCPY, ENTRY = "arch/x86/lib/memcpy.o", "arch/x86/lib/entry.o"
SOURCES = {
    "arch/x86/include/asm/asm-prototypes.h": "#include <linux/page.h>\n#ifndef CONFIG_CMPXCHG\n",
    "include/linux/page.h": '#include "deep.h"\n',
    "include/linux/deep.h": "# include <asm/made.h>\n#include <asm/absent.h>\n#include <linux/page.h>\n",
    "include/linux/other.h": "#ifdef CONFIG_OTHER\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree, with an object tree beside it."""
    notes = {MEMCPY: "memcpy.S\n\n#SYMVER memcpy 0x1\n", ENTRY: "entry.S\n", "arch/x86/lib/core.o": "core.c\n"}
    files = {f"tree/{name}": text for name, text in SOURCES.items()}
    files["obj/arch/x86/include/generated/asm/made.h"] = "#ifdef CONFIG_MADE\n"
    for target, text in notes.items():
        folder, _, name = target.rpartition("/")
        files[f"obj/{folder}/.{name}.cmd"] = f"savedcmd_{target} := gcc -c\n\nsource_{target} := /src/{folder}/{text}"
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path / "tree"


@pytest.mark.parametrize(
    ("sources", "options", "found"),
    [
        (["arch/x86/include/asm/asm-prototypes.h"], [], [MEMCPY]),
        (["include/linux/deep.h"], [], [MEMCPY]),
        (["include/linux/gone.h"], [], [MEMCPY]),
        (["include/linux/other.h", "net/core.c"], ["OTHER"], []),
        ([], ["CMPXCHG"], [MEMCPY]),
        ([], ["MADE", "OTHER"], [MEMCPY]),
        ([], [], []),
    ],
)
def test_what_they_follow_from(tree: Path, sources: list[str], options: list[str], found: list[str]) -> None:
    assert stale(tree.parent / "obj", tree, "x86", sources, options) == found


def test_kernels_that_note_no_versions(tree: Path) -> None:
    obj = tree.parent / "obj"
    for note in (obj / "arch/x86/lib").iterdir():
        note.write_text(note.read_text().replace("#SYMVER memcpy 0x1\n", ""))
    assert stale(obj, tree, "x86", (), ["CMPXCHG"]) == [ENTRY, MEMCPY]
    assert stale(obj, tree, "x86", (), ["OTHER"]) == []
