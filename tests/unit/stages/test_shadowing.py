"""What the compiler cache goes by where a header could be included in another's place."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.stages import journal
from builder.stages.shadowing import named_headers, shadows

FILES = {
    "arch/x86/include/asm/Kbuild": "generic-y += early.h\n",
    "include/linux/net.h": "int net;\n",
    "lib/Makefile": "$(obj)/crc32table.h: $(obj)/gen_crc32table\n",
    "lib/asks.h": '#if __has_include("extra.h")\n#endif\n',
    "net/table.h": "int table;\n",
    "net/all.c": '#include "part.c"\n # include <impl.c>\nchar *name = "named.c";\n',
    "net/part.c": "int part;\n",
    "arch/arm/all.c": '#include "theirs.c"\n',
    "common/impl.c": "int impl;\n",
}
NAMED = named_headers(FILES["lib/Makefile"])


def write(tree: Path, name: str, text: str) -> None:
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / name).write_text(text)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        write(tmp_path, name, text)
    return tmp_path


def key(tree: Path) -> str:
    return shadows(tree, journal.read_tree(tree), "x86", NAMED)


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("net/another.h", True),
        ("net/table.h", True),
        ("net/core.c", True),
        ("include/linux/table.h", False),
        ("lib/extra.h", False),
        ("arch/x86/include/asm/only-generated.h", False),
        ("lib/crc32table.h", False),
        ("arch/x86/include/asm/Kbuild", False),
        ("arch/arm/include/asm/Kbuild", True),
        ("before/impl.c", False),
        ("net/impl.c", False),
        ("before/part.c", True),
        ("before/theirs.c", True),
        ("before/named.c", True),
    ],
)
def test_headers_that_could_take_each_others_place(tree: Path, name: str, same: bool) -> None:
    before = key(tree)
    assert {"crc32table.h"} == NAMED
    write(tree, name, "something else\n")
    assert (key(tree) == before) == same
