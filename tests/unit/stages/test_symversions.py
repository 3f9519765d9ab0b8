"""Symbol versions through the real make, gcc and ccache; genksyms is a program that tells what it read."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from builder.stages import symversions
from builder.stages.common import put_program
from builder.stages.compilercache import CompilerCache
from builder.stages.journal import read_tree
from builder.stages.symversions import OPTION, STATISTICS, make_words

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
     $(patsubst y,-R,$(CONFIG_MODULE_REL_CRCS))                             \\
     -r $(firstword $(wildcard $(2:.symtypes=.symref) /dev/null))
GENKSYMS = scripts/genksyms/genksyms
first_name = .tmp_
"""
NEWER_RULES = """\
genksyms = $(objtree)/scripts/genksyms/genksyms $(if $(KBUILD_SYMTYPES), -T $(@:.o=.symtypes)) \\
\t$(addprefix -r , $(wildcard $(@:.o=.symref)))
ifdef CONFIG_GENDWARFKSYMS
cmd_gensymtypes_c = $(gendwarfksyms)
else
cmd_gensymtypes_c = $(CPP) -D__GENKSYMS__ $(c_flags) $< | $(genksyms)
endif
"""
MAKEFILE = """\
objtree := .
include scripts/Makefile.build
-include .config
CC = gcc
CPP = gcc -E
c_flags = -Wp,-MMD,sub/.$(@F).d -I ./include -DNAME='"two  words"' $(more)
made = sub/$(first_name)$(@F)
all:
\t@$(MAKE) --no-print-directory sub/a.o
sub/a.o: ../tree/a.c FORCE
\t@$(CC) $(c_flags) -c -o $(made) $<
\t@if nm $(made) | grep -q __export_symbol_; then \\
\t\t$(call cmd_gensymtypes_c,$(KBUILD_SYMTYPES),$(@:.o=.symtypes)) > a.ver; fi
FORCE:
"""
SOURCE = """\
#include "a.h"
const char *name = NAME; A
#ifdef __GENKSYMS__
versions
#else
int __export_symbol_name;
#endif
"""


@dataclass
class Made:
    """What make has made.

    Attributes:
        versions: What genksyms said.
        how: Where kbuild's command has found that.
        kept: The compiler cache had the object already.
    """

    versions: str
    how: str
    kept: bool


class Tree:
    def __init__(self, root: Path, rules: str) -> None:
        self.root = root / "tree"
        self.write("scripts/Makefile.build", rules)
        self.write("Makefile", MAKEFILE)
        self.write("a.c", SOURCE)
        self.write("include/a.h", "#define A int a;\n")
        self.write("sub/empty", "")
        self.write(".config", "CONFIG_MODULE_REL_CRCS=y\n")
        self.genksyms("1")

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def genksyms(self, version: str, *, source: str = "") -> None:
        self.write("scripts/genksyms/genksyms.c", source)
        self.write("scripts/genksyms/genksyms", f'#!/bin/sh\necho {version} "$@"\ngrep -v "^#"\n')
        (self.root / "scripts/genksyms/genksyms").chmod(0o755)

    def cache(self) -> CompilerCache:
        files = [(path, entry.digest) for path, entry in read_tree(self.root).items() if path.endswith(".c")]
        genksyms = symversions.genksyms(self.root, self.root / ".config", files)
        return CompilerCache(self.root.parent / "cache", "gcc", "1", "1", genksyms=genksyms)

    def make(self, *words: str) -> Made:
        """Compile as the compile stage does."""
        cache = self.cache()
        (self.root / "a.ver").unlink(missing_ok=True)
        argv = ["make", symversions.compiler("ccache gcc"), *make_words(self.root), *words]
        done = subprocess.run(
            argv, cwd=self.root, env={**os.environ, **cache.environment()}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        asked, objects = cache.counts(STATISTICS), cache.counts()
        assert objects["calls"] == 1
        left = [path for path in self.root.rglob("*") if path.suffix == ".read"]
        assert not left
        assert not [path for path in self.root.rglob("*.su") if path.read_text()]
        versions = (self.root / "a.ver").read_text() if asked else ""
        how = "".join(word for word in asked if word != "calls")
        return Made(versions, how, bool(objects.get("direct_cache_hit")))

    def compile(self, *words: str) -> dict[str, int]:
        """Call the compiler as make does for an object; what the cache did."""
        cache = self.cache()
        argv = ["ccache", "gcc", OPTION, *words]
        subprocess.run(argv, cwd=self.root, env={**os.environ, **cache.environment()}, check=True)
        return cache.counts()

    def plain(self, *words: str) -> str:
        subprocess.run(["make", *words], cwd=self.root, check=True, capture_output=True)
        return (self.root / "a.ver").read_text()


@pytest.fixture(params=[NEWER_RULES, RULES, OLD_RULES], ids=["newer", "new", "old"])
def tree(tmp_path: Path, request: pytest.FixtureRequest) -> Tree:
    assert shutil.which("ccache"), "tests/run installs ccache"
    return Tree(tmp_path, request.param)


def test_they_are_kept_with_the_object_by_all_that_they_follow_from(tree: Tree) -> None:
    plain = tree.plain()
    said = plain.replace(" -r /dev/null", "").replace(" -R", "").split()
    assert said == ["1", "const", "char", "*name", "=", '"two', 'words";', "int", "a;", "versions"]
    assert tree.make() == Made(plain, "beside_object", kept=False)
    assert tree.make() == Made(plain, "beside_object", kept=True)
    tree.write("include/a.h", "#define A long a;\n")
    assert tree.make() == Made(plain.replace("int", "long"), "beside_object", kept=False)
    tree.genksyms("2", source="2")
    assert tree.make() == Made(tree.plain(), "beside_object", kept=False)
    assert tree.make("more=-DB") == Made(tree.plain(), "beside_object", kept=False)
    assert tree.make("more=-DB") == Made(tree.plain(), "beside_object", kept=True)


def test_those_of_another_program_do_not_count(tree: Tree) -> None:
    """Whatever it was made of: its checksum is beside the versions."""
    tree.make()
    tree.genksyms("2")
    assert tree.make() == Made(tree.plain(), "made_apart", kept=True)


def test_what_genksyms_alone_reads_is_among_the_dependencies(tree: Tree) -> None:
    """Of the list that the compiler makes ccache goes by, and kbuild too."""
    tree.write("a.c", SOURCE.replace("versions", '#include "b.h"'))
    tree.write("include/b.h", "one\n")
    assert "one" in tree.make().versions
    assert "include/b.h" in (tree.root / "sub/.a.o.d").read_text().split()
    assert tree.make().kept
    tree.write("include/b.h", "two\n")
    assert tree.make() == Made(tree.plain(), "beside_object", kept=False)


def test_a_genksyms_that_reads_or_writes_more_is_run_as_it_is(tree: Tree) -> None:
    tree.make()
    tree.write("sub/a.symref", "")
    plain = tree.plain()
    assert "-r sub/a.symref" in plain
    assert tree.make() == Made(plain, "made_apart", kept=True)
    (tree.root / "sub/a.symref").unlink()
    made = tree.make("KBUILD_SYMTYPES=1")
    assert ("-T sub/a.symtypes" in made.versions, made.how) == (True, "made_apart")


def test_what_was_read_has_to_be_known(tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here a program that tells it is killed, as one is where memory runs out."""
    tree.write("a.c", SOURCE.replace("versions", '#include "b.h"'))
    tree.write("include/b.h", "one\n")
    with monkeypatch.context() as patched:
        patched.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        put_program(tmp_path / "bin/awk", "#!/bin/sh\nkill -9 $$\n")
        assert tree.make() == Made(tree.plain(), "made_apart", kept=False)
    tree.write("include/b.h", "two\n")
    assert tree.make() == Made(tree.plain(), "made_apart", kept=True)


@pytest.mark.parametrize("stands", ["sub/a.su", "sub/.tmp_a.su"])
def test_what_another_compile_has_left_does_not_count(tree: Tree, stands: str) -> None:
    tree.write(stands, "# another\nold\n")
    assert tree.make() == Made(tree.plain(), "beside_object", kept=False)


@pytest.mark.parametrize("name", ["a.mod", ".vmlinux.export"])
def test_of_what_modpost_makes_nobody_asks_for_versions(tree: Tree, name: str) -> None:
    """It has the sections of exported symbols, since Linux 6.5."""
    tree.write("made.c", "int __ksymtab_name;\n")
    assert tree.compile(f"-Wp,-MMD,sub/.{name}.o.d", "-c", "-o", f"sub/{name}.o", "made.c")["cache_miss"] == 1
    assert (tree.root / f"sub/{name}.su").read_text() == ""


def test_a_probe_of_the_compiler_is_kept_too(tree: Tree) -> None:
    """kbuild's cc-option, where it is expanded for an object: it has the option, and no list of dependencies."""
    tree.write("probe.c", "int probe;\n")
    (tree.root / ".tmp_1").mkdir()
    assert tree.compile("-c", "probe.c", "-o", ".tmp_1/tmp")["cache_miss"] == 1
    assert "cache_miss" not in tree.compile("-c", "probe.c", "-o", ".tmp_1/tmp")


def test_without_symbol_versions_the_option_is_the_compilers(tree: Tree) -> None:
    """Modules from outside the kernel may ask for it."""
    cache = CompilerCache(tree.root.parent / "cache", "gcc", "1", "1")
    tree.write("made.c", "int __ksymtab_name;\nint f(void) { return 1; }\n")
    argv = ["ccache", "gcc", OPTION, "-Wp,-MMD,sub/.a.o.d", "-c", "-o", "sub/a.o", "made.c"]
    subprocess.run(argv, cwd=tree.root, env={**os.environ, **cache.environment()}, check=True)
    assert cache.counts()["cache_miss"] == 1
    assert "static" in (tree.root / "sub/a.su").read_text()


def test_an_object_that_exports_nothing_has_none(tree: Tree) -> None:
    tree.write("a.c", "int name;\n")
    assert tree.make() == Made("", "", kept=False)
    assert tree.make() == Made("", "", kept=True)


def test_the_object_is_the_compilers(tree: Tree) -> None:
    """Debug information has the compiler's options: that which asks for symbol versions is not among them."""
    tree.write("a.c", f"{SOURCE}int function(void) {{ return 1; }}\n")
    tree.plain("more=-g")
    (found,) = tree.root.glob("sub/*a.o")
    plain = found.read_bytes()
    for kept in (False, True):
        found.unlink()
        assert tree.make("more=-g").kept is kept
        assert found.read_bytes() == plain


def test_the_option_goes_wherever_it_stands(tree: Tree) -> None:
    made = tree.make(f"CC=ccache gcc -g {OPTION} -DB")
    assert made == Made(tree.plain(), "beside_object", kept=False)
    assert not [path for path in tree.root.rglob("*.o") if OPTION.encode() in path.read_bytes()]


@pytest.mark.parametrize("kept", [False, True])
def test_what_fails_fails(tree: Tree, kept: bool) -> None:
    if kept:
        tree.make()
    tree.write("scripts/genksyms/genksyms", "#!/bin/sh\nexit 3\n")
    with pytest.raises(AssertionError):
        tree.make()


def test_what_does_not_preprocess_is_not_kept(tree: Tree) -> None:
    """kbuild takes it for made: its pipe ends as genksyms does."""
    tree.write("a.c", SOURCE.replace("versions", '#include "gone.h"'))
    plain = tree.plain()
    for kept in (False, True):
        assert tree.make() == Made(plain, "made_apart", kept=kept)
    tree.write("include/gone.h", "found\n")
    assert tree.make() == Made(tree.plain(), "made_apart", kept=True)


def test_another_rule_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/Makefile.build").write_text("cmd_gensymtypes_c = $(gendwarfksyms) $@\n")
    for tree in (tmp_path, tmp_path / "scripts"):
        assert make_words(tree) == []
        assert symversions.genksyms(tree, tree / ".config", ()) is None
