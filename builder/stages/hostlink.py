"""Static linking of kbuild's host programs.

They go into the headers package and run where modules are built: on old C libraries and on musl. HOSTLDFLAGS and
HOSTPKG_CONFIG are kbuild's own ways to say how they are linked (Documentation/kbuild/kbuild.rst).
"""

from __future__ import annotations

from pathlib import Path

from builder.stages.common import run

_PROBE = "#include <libelf.h>\nint main(void) { return elf_end(elf_begin(0, ELF_C_READ, 0)); }\n"
# The static libelf of elfutils 0.192 (Debian 13) lacks its own search trees (elfutils bug 32293). These are they,
# without the locks, for programs of one thread; a tree's first member is its root.
_SEARCH_TREES = """\
#define _GNU_SOURCE
#include <search.h>
struct tree { void *root; };
typedef int compare(const void *, const void *);
void eu_search_tree_init(struct tree *tree) { tree->root = 0; }
void eu_search_tree_fini(struct tree *tree, void (*release)(void *)) { tdestroy(tree->root, release); }
void *eu_tsearch(const void *key, struct tree *tree, compare *by) { return tsearch(key, &tree->root, by); }
void *eu_tfind(const void *key, struct tree *tree, compare *by) { return tfind(key, &tree->root, by); }
void *eu_tdelete(const void *key, struct tree *tree, compare *by) { return tdelete(key, &tree->root, by); }
"""


def static_arguments(folder: Path) -> list[str]:
    """make's arguments for static host programs.

    Args:
        folder: Where to put an object that stands in for what libelf lacks; made when it is needed.
    """
    flags = "-static"
    folder.mkdir(parents=True, exist_ok=True)
    if _lacks_search_trees(folder):
        source, stand_in = folder / "search-trees.c", folder / "search-trees.o"
        source.write_text(_SEARCH_TREES)
        run(["gcc", "-O2", "-c", "-o", stand_in, source])
        flags += f" {stand_in}"
    return [f"HOSTLDFLAGS={flags}", "HOSTPKG_CONFIG=pkg-config --static"]


def _lacks_search_trees(folder: Path) -> bool:
    """Whether a program that uses the static libelf does not link for this one reason."""
    source = folder / "probe.c"
    source.write_text(_PROBE)
    libraries = run(["pkg-config", "--static", "--libs", "libelf"], check=False).stdout.split()
    linked = run(["gcc", "-static", "-o", folder / "probe", source, *libraries], check=False)
    return "eu_search_tree_init" in linked.stderr
