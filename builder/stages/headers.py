"""Make the headers tree: what it takes to build an external module while the kernel's source is absent.

The choice follows upstream's scripts/package/install-extmod-build (Linux 6.x) and, for older trees, its forerunner in
scripts/package/builddeb; Documentation/kbuild/modules.rst says what such a build uses.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from builder.stages.common import StageError, stage_main

# In the source's scripts/: folders of tools that no module build uses, and programs that only kernel builds use.
_NO_SCRIPTS = ("scripts/atomic", "scripts/dtc", "scripts/kconfig", "scripts/package")
_NEVER = (
    "*.o",
    "*.s",
    "*.cmd",
    "*.a",
    "*.d",
    "*.pem",
    "*.x509",
    "*.priv",
    "*.key",
    ".gitignore",
    "unifdef",
    "mk_elfconfig",
)
# Objects that kbuild links into every module of some architectures (arm64 4.15-5.1, powerpc).
_LINKED_IN = ("kernel/ftrace-mod.o", "lib/crtsavres.o")
# Flags that kbuild gives because the kernel's compiler knew them, and what an older one is given instead.
_NEWER_FLAGS = {
    "-fmin-function-alignment": "-falign-functions",  # gcc 14
    "-ftrivial-auto-var-init": "",  # gcc 12
    "-fzero-call-used-regs": "",  # gcc 11
}
_NEWER_FLAG = re.compile(rf"^([\w-]+\s*\+?=\s*)({'|'.join(_NEWER_FLAGS)})(=\S+)$", re.MULTILINE)
# What C code asks of the config about the compiler; the conditions are those of init/Kconfig and arch/Kconfig.
_OLDER_COMPILER = """
/* The compiler of a module may be older than the kernel's, of which the above is true. */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 14
#undef CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT
#undef CONFIG_CC_HAS_SANE_FUNCTION_ALIGNMENT
#endif
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 11
#undef CONFIG_CC_HAS_ASM_GOTO_OUTPUT
#undef CONFIG_CC_HAS_ASM_GOTO_TIED_OUTPUT
#endif
"""


def source_files(tree: Path, srcarch: str) -> Iterator[Path]:
    """The files of the source tree that belong in the headers tree, as paths under it."""
    yield Path("Makefile")
    yield from _existing(tree, ("Kconfig", "Kbuild"))
    arch = Path("arch", srcarch)
    for pattern in ("Makefile*", "Kconfig*"):
        yield from (path.relative_to(tree) for path in sorted((tree / arch).glob(pattern)))
    for path in _walk(tree, arch):
        if path.name in ("Kbuild.platforms", "Platform", "module.lds", "module.lds.S") or _is_below(path, "include"):
            yield path
    # Before Linux 5.x an architecture's Makefile ran scripts of its own.
    yield from _walk(tree, arch / "scripts")
    yield from _walk(tree, Path("include"))
    yield from _walk(tree, Path("scripts"))


def object_files(obj: Path, srcarch: str) -> Iterator[Path]:
    """The files of the object tree that belong in the headers tree, as paths under it."""
    arch = Path("arch", srcarch)
    yield from _existing(
        obj,
        (
            ".config",
            "Module.symvers",
            "System.map",
            "include/config/auto.conf",
            "include/config/kernel.release",
            "tools/objtool/objtool",
            "tools/bpf/resolve_btfids/resolve_btfids",
            f"{arch}/kernel/module.lds",
            *(f"{arch}/{name}" for name in _LINKED_IN),
        ),
    )
    for folder in (arch / "include/generated", Path("include/generated"), Path("scripts")):
        yield from _walk(obj, folder)


def _existing(tree: Path, names: tuple[str, ...]) -> Iterator[Path]:
    yield from (Path(name) for name in names if (tree / name).is_file())


def _is_below(path: Path, folder: str) -> bool:
    return folder in path.parts[:-1]


def _walk(tree: Path, top: Path) -> Iterator[Path]:
    """All files and links under `top`, as paths under `tree`, in a fixed order."""
    for folder, folders, files in os.walk(tree / top):
        here = Path(folder).relative_to(tree)
        folders[:] = sorted(name for name in folders if str(here / name) not in _NO_SCRIPTS)
        links = [name for name in folders if (tree / here / name).is_symlink()]
        for name in sorted([*files, *links]):
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in _NEVER):
                yield here / name


def copy_file(root: Path, path: Path, out: Path) -> None:
    """Copy one file; a link that stays inside the copied tree stays a link, another one becomes what it leads to."""
    source, target = root / path, out / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink() or target.exists():
        target.unlink()
    if source.is_symlink() and not source.readlink().is_absolute():
        target.symlink_to(source.readlink())
    elif source.is_file():
        shutil.copy2(source, target)


def settle_links(out: Path, tree: Path) -> None:
    """Replace links whose goal is not in the headers tree by the source's file, or drop them."""
    for folder, folders, files in os.walk(out):
        for name in (*folders, *files):
            link = Path(folder, name)
            if not link.is_symlink() or link.exists():
                continue
            goal = tree / link.relative_to(out)
            link.unlink()
            if goal.is_file():
                shutil.copy2(goal, link)
            elif goal.is_dir():
                shutil.copytree(goal, link)


def allow_older_compilers(out: Path) -> None:
    """Let modules be built by a compiler that is older than the kernel's, as consoles have it.

    What the kernel's compiler knows is found out when the kernel is configured, and holds for modules too: an older
    one stops at flags that it does not know. They are made ones that kbuild tries first (cc-option, see
    Documentation/kbuild/makefiles.rst). For the kernel's own compiler nothing changes, and none of this changes what
    a module and the kernel have in common.
    """
    makefile, autoconf = out / "Makefile", out / "include/generated/autoconf.h"
    makefile.write_text(_NEWER_FLAG.sub(_tried_first, makefile.read_text()))
    if autoconf.is_file():
        autoconf.write_text(autoconf.read_text() + _OLDER_COMPILER)


def _tried_first(line: re.Match[str]) -> str:
    head, flag, value = line.groups()
    instead = _NEWER_FLAGS[flag] and f",{_NEWER_FLAGS[flag]}{value}"
    return f"{head}$(call cc-option,{flag}{value}{instead})"


def make_headers(tree: Path, obj: Path, srcarch: str, release: str, out: Path) -> None:
    """Fill `out` with the headers tree.

    Raises:
        StageError: The object tree is not a complete build of `release`.
    """
    built = obj / "include/config/kernel.release"
    found = built.read_text().strip() if built.is_file() else "no kernel release"
    if found != release:
        raise StageError(f"the object tree is of {found}, not of {release}", hint="compile the kernel first")
    for path in source_files(tree, srcarch):
        copy_file(tree, path, out)
    for path in object_files(obj, srcarch):
        copy_file(obj, path, out)
    settle_links(out, tree)
    allow_older_compilers(out)


def main() -> None:
    """Command line: `--tree T --obj OBJTREE --srcarch x86 --release V --out D`."""
    parser = argparse.ArgumentParser(prog="headers", description=__doc__)
    for option in ("--tree", "--obj", "--out"):
        parser.add_argument(option, type=Path, required=True)
    for option in ("--srcarch", "--release"):
        parser.add_argument(option, required=True)
    args = parser.parse_args()
    make_headers(args.tree, args.obj, args.srcarch, args.release, args.out)


if __name__ == "__main__":
    stage_main(main)
