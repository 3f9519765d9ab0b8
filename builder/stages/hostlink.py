"""Static linking of kbuild's host programs.

They go into the headers package and run where modules are built: on old C libraries and on musl. HOSTLDFLAGS and
HOSTPKG_CONFIG are kbuild's own ways to say how they are linked (Documentation/kbuild/kbuild.rst). Older trees have no
HOSTPKG_CONFIG (before 5.19): a pkg-config of ours on PATH does the same. Before 4.19 HOSTLDFLAGS are for programs of
several objects only, and no pkg-config is asked what the static libcrypto needs. Before 5.x objtool knows neither:
what it is linked of is linked once more.
"""

from __future__ import annotations

import shlex
import shutil
import struct
from pathlib import Path

from builder.stages.common import put_program, run

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


_PT_INTERP = 3
_PKG_CONFIG = """\
#!/bin/sh
exec {program} --static "$@"
"""
# What kbuild of these trees links of a program's own (scripts/Makefile), and what the static libcrypto needs with it.
_CRYPTO = ("extract-cert", "sign-file")
_CRYPTO_LIBRARIES = "-lcrypto -ldl -lpthread"


def static_arguments(folder: Path, tree: Path) -> list[str]:
    """make's arguments for static host programs.

    Args:
        folder: Where to put an object that stands in for what libelf lacks; is lost with the toolchain.
        tree: The kernel's source.
    """
    folder.mkdir(parents=True, exist_ok=True)
    words = [f"HOSTLDFLAGS={_link_flags(folder)}", "HOSTPKG_CONFIG=pkg-config --static"]
    if _is_old(tree):
        words += ["HOST_LOADLIBES=-static", *(f"HOSTLOADLIBES_{name}={_CRYPTO_LIBRARIES}" for name in _CRYPTO)]
    return words


def _link_flags(folder: Path) -> str:
    """What kbuild's static programs are linked with; what was found out once holds for the folder's toolchain."""
    known = folder / "flags"
    if not known.is_file():
        flags = "-static"
        linked, lacks = _probe(folder)
        if not linked and not lacks:  # for a reason of its own, which may be gone the next time
            return flags
        if lacks:
            source, stand_in = folder / "search-trees.c", folder / "search-trees.o"
            source.write_text(_SEARCH_TREES)
            run(["gcc", "-O2", "-c", "-o", stand_in, source])
            flags += f" {stand_in}"
        known.write_text(flags)
    return known.read_text()


def _is_old(tree: Path) -> bool:
    """Whether the tree has the words of before Linux 4.19 (8377bd2b9ee1 "kbuild: Rename HOST_LOADLIBES …")."""
    makefile = tree / "scripts/Makefile.host"
    return makefile.is_file() and "$(HOST_LOADLIBES)" in makefile.read_text(errors="replace")


def wrap_pkg_config(folder: Path) -> Path:
    """Put a pkg-config in `folder` that says how to link statically, whatever it is asked; returns the folder."""
    if program := shutil.which("pkg-config"):
        put_program(folder / "pkg-config", _PKG_CONFIG.format(program=shlex.quote(program)))
    return folder


def link_objtool(obj: Path, out: Path) -> None:
    """Have objtool in `out` linked statically, where kbuild has not done it.

    The one in the object tree stays as it is: kbuild goes by its time.

    Args:
        obj: The object tree, in which it was built.
        out: Where its copy is.
    """
    parts = [obj / "tools/objtool/objtool-in.o", obj / "tools/objtool/libsubcmd.a"]
    program = out / "tools/objtool/objtool"
    if not program.is_file() or not all(part.is_file() for part in parts) or is_static(program.read_bytes()):
        return
    libraries = run(["pkg-config", "--static", "--libs", "libelf"]).stdout.split()
    run(["gcc", "-static", "-o", program, *parts, *libraries])


def is_static(elf: bytes) -> bool:
    """Whether a program of 64 bits asks for no program interpreter (PT_INTERP, elf(5))."""
    if elf[:5] != b"\x7fELF\x02":
        return False
    (table,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    return all(struct.unpack_from("<I", elf, table + number * size)[0] != _PT_INTERP for number in range(count))


def _probe(folder: Path) -> tuple[bool, bool]:
    """Whether a program that uses the static libelf links, and whether it does not as that lacks its search trees."""
    source = folder / "probe.c"
    source.write_text(_PROBE)
    libraries = run(["pkg-config", "--static", "--libs", "libelf"], check=False).stdout.split()
    linked = run(["gcc", "-static", "-o", folder / "probe", source, *libraries], check=False)
    return linked.returncode == 0, "eu_search_tree_init" in linked.stderr
