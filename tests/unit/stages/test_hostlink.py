from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from builder.stages import hostlink
from builder.stages.common import put_program
from tests.unit.stages import faketree

PROGRAM = """\
#include <stdlib.h>
#include <string.h>
struct tree { void *root; long lock[8]; };
typedef int compare(const void *, const void *);
void eu_search_tree_init(struct tree *);
void eu_search_tree_fini(struct tree *, void (*)(void *));
void *eu_tsearch(const void *, struct tree *, compare *);
void *eu_tfind(const void *, struct tree *, compare *);
void *eu_tdelete(const void *, struct tree *, compare *);
static int released;
static int by_text(const void *a, const void *b) { return strcmp(a, b); }
static void release(void *key) { (void)key; released++; }
int main(void)
{
	struct tree tree;
	memset(&tree, 0xff, sizeof(tree));
	eu_search_tree_init(&tree);
	eu_tsearch("one", &tree, by_text);
	eu_tsearch("two", &tree, by_text);
	eu_tsearch("three", &tree, by_text);
	if (!eu_tfind("two", &tree, by_text))
		return 1;
	eu_tdelete("two", &tree, by_text);
	if (eu_tfind("two", &tree, by_text))
		return 2;
	eu_search_tree_fini(&tree, release);
	return released == 2 ? 0 : 3;
}
"""


def test_the_stand_in_for_libelfs_search_trees_works(tmp_path: Path) -> None:
    (tmp_path / "trees.c").write_text(hostlink._SEARCH_TREES)
    (tmp_path / "program.c").write_text(PROGRAM)
    program = tmp_path / "program"
    subprocess.run(["gcc", "-Wall", "-Werror", "-o", program, *tmp_path.glob("*.c")], check=True)
    assert subprocess.run([program]).returncode == 0


def test_a_program_links_with_the_arguments(tmp_path: Path) -> None:
    flags, pkg_config = hostlink.static_arguments(tmp_path / "obj", faketree.TREE)
    (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")
    words = flags.removeprefix("HOSTLDFLAGS=").split()
    subprocess.run(["gcc", "-o", tmp_path / "main", tmp_path / "main.c", *words], check=True)
    assert b"/ld-linux" not in (tmp_path / "main").read_bytes()  # no dynamic loader
    assert pkg_config == "HOSTPKG_CONFIG=pkg-config --static"


def test_what_a_probe_found_is_kept_but_not_that_it_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a reason of its own: the kernel's programs would be linked wrongly for as long as the object tree is kept."""
    monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=":")
    lacking = 'case " $* " in *" -c "*) exit 0 ;; esac\necho "undefined reference to eu_search_tree_init" >&2\nexit 1'
    for number, (then, flags) in enumerate((("exit 0", "-static"), (lacking, "-static {}/search-trees.o"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        put_program(tmp_path / "bin/gcc", "#!/bin/sh\necho Killed >&2\nexit 1\n")
        assert hostlink._link_flags(folder) == "-static"
        put_program(tmp_path / "bin/gcc", f"#!/bin/sh\n{then}\n")
        assert hostlink._link_flags(folder) == flags.format(folder)
        put_program(tmp_path / "bin/gcc", "#!/bin/sh\nexit 1\n")
        assert hostlink._link_flags(folder) == flags.format(folder)


def test_a_tree_from_before_4_19_is_told_in_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/Makefile.host").write_text("cmd_host-csingle = $(HOSTCC) -o $@ $< $(HOST_LOADLIBES)\n")
    words = hostlink.static_arguments(tmp_path / "obj", tmp_path)
    assert "HOST_LOADLIBES=-static" in words
    assert "HOSTLOADLIBES_extract-cert=-lcrypto -ldl -lpthread" in words


@pytest.fixture
def libelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A libelf, as pkg-config knows it, that consists of the C library's -lm and needs -lrt when it is static."""
    text = "Name: libelf\nDescription: ELF\nVersion: 1\nLibs: -lm\nLibs.private: -lrt\n"
    (tmp_path / "libelf.pc").write_text(text)
    monkeypatch.setenv("PKG_CONFIG_PATH", str(tmp_path))


@pytest.mark.usefixtures("libelf")
def test_pkg_config_says_how_to_link_statically(tmp_path: Path) -> None:
    folder = hostlink.wrap_pkg_config(tmp_path / "bin")
    said = [
        subprocess.run([program, "--libs", "libelf"], capture_output=True, text=True, check=True).stdout.split()
        for program in (folder / "pkg-config", "pkg-config")
    ]
    assert said == [["-lm", "-lrt"], ["-lm"]]


@pytest.mark.usefixtures("libelf")
def test_objtool_is_linked_statically_where_kbuild_did_not(tmp_path: Path) -> None:
    obj, out = tmp_path / "obj/tools/objtool", tmp_path / "out/tools/objtool"
    obj.mkdir(parents=True)
    out.mkdir(parents=True)
    (tmp_path / "main.c").write_text("int helper(void);\nint main(void) { return helper(); }\n")
    (tmp_path / "helper.c").write_text("int helper(void) { return 0; }\n")
    for source, target in (("main.c", obj / "objtool-in.o"), ("helper.c", tmp_path / "helper.o")):
        subprocess.run(["gcc", "-c", "-o", target, tmp_path / source], check=True)
    subprocess.run(["ar", "rc", obj / "libsubcmd.a", tmp_path / "helper.o"], check=True)
    subprocess.run(["gcc", "-o", out / "objtool", obj / "objtool-in.o", obj / "libsubcmd.a"], check=True)
    assert not hostlink.is_static((out / "objtool").read_bytes())
    hostlink.link_objtool(tmp_path / "obj", tmp_path / "out")
    linked = (out / "objtool").read_bytes()
    assert hostlink.is_static(linked)
    assert subprocess.run([out / "objtool"]).returncode == 0
    hostlink.link_objtool(tmp_path / "obj", tmp_path / "out")
    assert (out / "objtool").read_bytes() == linked


def test_what_is_no_program_is_not_static() -> None:
    assert not hostlink.is_static(b"#!/bin/sh\n")
