"""Symbol versions through the real make, gcc and ccache; genksyms is a program that tells what it read."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from builder.stages.compilercache import CompilerCache
from builder.stages.symversions import STATISTICS, make_words

pytestmark = pytest.mark.host_programs

RULES = """\
genksyms = scripts/genksyms/genksyms $(if $(1), -T $(2)) \\
\t-r $(or $(wildcard $(2:.symtypes=.symref)), /dev/null)
cmd_gensymtypes_c = $(CPP) -D__GENKSYMS__ $(c_flags) $< | $(genksyms)
"""
OLD_RULES = """\
cmd_gensymtypes_c =                                                         \\
    $(CPP) -D__GENKSYMS__ $(c_flags) $< |                                   \\
    $(GENKSYMS) $(if $(1), -T $(2))                                         \\
     -r $(firstword $(wildcard $(2:.symtypes=.symref) /dev/null))
GENKSYMS = scripts/genksyms/genksyms
"""
NEWER_RULES = """\
genksyms = scripts/genksyms/genksyms $(if $(KBUILD_SYMTYPES), -T $(@:.ver=.symtypes)) \\
\t$(addprefix -r , $(wildcard $(@:.ver=.symref)))
ifdef CONFIG_GENDWARFKSYMS
cmd_gensymtypes_c = $(gendwarfksyms)
else
cmd_gensymtypes_c = $(CPP) -D__GENKSYMS__ $(c_flags) $< | $(genksyms)
endif
"""
MAKEFILE = """\
include scripts/Makefile.build
CPP = gcc -E
c_flags = -Wp,-MMD,.$(@).d -I ./include -DNAME='"two  words"' $(more)
all:
\t@$(MAKE) --no-print-directory a.ver
a.ver: ../tree/a.c FORCE
\t@$(call cmd_gensymtypes_c,$(KBUILD_SYMTYPES),$(@:.ver=.symtypes)) > $@
FORCE:
"""


class Tree:
    def __init__(self, root: Path, rules: str) -> None:
        self.root = root / "tree"
        self.write("scripts/Makefile.build", rules)
        self.write("Makefile", MAKEFILE)
        self.write("a.c", '#include "a.h"\nconst char *name = NAME; A\n#ifdef __GENKSYMS__\nversions\n#endif\n')
        self.write("include/a.h", "#define A int a;\n")
        self.genksyms("1")

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def genksyms(self, version: str) -> None:
        self.write("scripts/genksyms/genksyms", f'#!/bin/sh\necho {version} "$@"\ngrep -v "^#"\n')
        (self.root / "scripts/genksyms/genksyms").chmod(0o755)

    def make(self, *words: str) -> tuple[str, int, int]:
        """What genksyms said, how often ccache was asked, and how often it had that already."""
        cache = CompilerCache(self.root.parent / "cache", "gcc", "1", "1")
        (self.root / "a.ver").unlink(missing_ok=True)
        argv = ["make", *make_words(self.root), *words]
        done = subprocess.run(
            argv, cwd=self.root, env={**os.environ, **cache.environment()}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert cache.counts() == {}
        counts = cache.counts(STATISTICS)
        assert not list(self.root.glob(".*symversions*"))
        return (self.root / "a.ver").read_text(), counts.get("calls", 0), counts.get("direct_cache_hit", 0)

    def plain(self) -> str:
        subprocess.run(["make"], cwd=self.root, check=True, capture_output=True)
        return (self.root / "a.ver").read_text()


@pytest.fixture(params=[NEWER_RULES, RULES, OLD_RULES], ids=["newer", "new", "old"])
def tree(tmp_path: Path, request: pytest.FixtureRequest) -> Tree:
    assert shutil.which("ccache"), "tests/run installs ccache"
    return Tree(tmp_path, request.param)


def test_they_are_kept_by_all_that_they_follow_from(tree: Tree) -> None:
    plain = tree.plain()
    assert plain.replace(" -r /dev/null", "").split() == [
        "1",
        "const",
        "char",
        "*name",
        "=",
        '"two',
        'words";',
        "int",
        "a;",
        "versions",
    ]
    assert tree.make() == (plain, 1, 0)
    assert tree.make() == (plain, 1, 1)
    tree.write("include/a.h", "#define A long a;\n")
    assert tree.make() == (plain.replace("int", "long"), 1, 0)
    tree.genksyms("2")
    assert tree.make() == (tree.plain(), 1, 0)
    assert tree.make("more=-DB") == (tree.plain(), 1, 0)
    assert tree.make("more=-DB") == (tree.plain(), 1, 1)


def test_a_genksyms_that_reads_or_writes_more_is_run_as_it_is(tree: Tree) -> None:
    tree.write("a.symref", "")
    plain = tree.plain()
    assert "-r a.symref" in plain
    assert tree.make() == (plain, 0, 0)
    (tree.root / "a.symref").unlink()
    text, asked, _ = tree.make("KBUILD_SYMTYPES=1")
    assert ("-T a.symtypes" in text, asked) == (True, 0)


def test_a_compile_that_writes_more_is_run_as_it_is(tree: Tree) -> None:
    assert tree.make("more=-ftest-coverage") == (tree.plain(), 0, 0)


def test_what_fails_fails(tree: Tree) -> None:
    tree.write("scripts/genksyms/genksyms", "#!/bin/sh\nexit 3\n")
    with pytest.raises(AssertionError):
        tree.make()


def test_what_does_not_preprocess_is_not_kept(tree: Tree) -> None:
    tree.write("a.c", '#include "gone.h"\n')
    for _ in range(2):
        with pytest.raises(AssertionError):
            tree.make()
    tree.write("include/gone.h", "found\n")
    assert tree.make() == (tree.plain(), 1, 0)


def test_another_rule_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/Makefile.build").write_text("cmd_gensymtypes_c = $(gendwarfksyms) $@\n")
    assert make_words(tmp_path) == []
    assert make_words(tmp_path / "scripts") == []
