from __future__ import annotations

import subprocess
from pathlib import Path

from builder.stages import hostlink

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
    flags, pkg_config = hostlink.static_arguments(tmp_path / "obj")
    (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")
    words = flags.removeprefix("HOSTLDFLAGS=").split()
    subprocess.run(["gcc", "-o", tmp_path / "main", tmp_path / "main.c", *words], check=True)
    assert b"/ld-linux" not in (tmp_path / "main").read_bytes()  # no dynamic loader
    assert pkg_config == "HOSTPKG_CONFIG=pkg-config --static"
