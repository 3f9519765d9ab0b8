"""Make the headers tree: what it takes to build an external module while the kernel's source is absent.

What it takes of the source comes in archives (`builder.stages.headerstree`, which says what the choice follows).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from builder.stages.common import StageError, run, stage_main
from builder.stages.headerstree import NO_SCRIPTS, is_taken

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


def _walk(tree: Path, top: Path) -> Iterator[Path]:
    """All files and links under `top`, as paths under `tree`, in a fixed order."""
    for folder, folders, files in os.walk(tree / top):
        here = Path(folder).relative_to(tree)
        folders[:] = sorted(name for name in folders if str(here / name) not in NO_SCRIPTS)
        links = [name for name in folders if (tree / here / name).is_symlink()]
        for name in sorted([*files, *links]):
            if is_taken(name):
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


def drop_dangling(out: Path) -> None:
    """Drop links whose goal is not in the headers tree."""
    for folder, folders, files in os.walk(out):
        for name in (*folders, *files):
            link = Path(folder, name)
            if link.is_symlink() and not link.exists():
                link.unlink()


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


def make_headers(sources: Sequence[Path], obj: Path, srcarch: str, release: str, out: Path) -> None:
    """Fill `out` with the headers tree.

    Args:
        sources: The archives of what it takes of the source.

    Raises:
        StageError: The object tree is not a complete build of `release`.
    """
    built = obj / "include/config/kernel.release"
    found = built.read_text().strip() if built.is_file() else "no kernel release"
    if found != release:
        raise StageError(f"the object tree is of {found}, not of {release}", hint="compile the kernel first")
    out.mkdir(parents=True)
    for archive in sources:
        run(["tar", "--no-same-owner", "-xf", archive.resolve(), "-C", out])
    for path in object_files(obj, srcarch):
        copy_file(obj, path, out)
    drop_dangling(out)
    allow_older_compilers(out)


def main() -> None:
    """Command line: `--sources A.tar B.tar --obj OBJTREE --srcarch x86 --release V --out D`."""
    parser = argparse.ArgumentParser(prog="headers", description=__doc__)
    parser.add_argument("--sources", type=Path, nargs="+", required=True)
    for option in ("--obj", "--out"):
        parser.add_argument(option, type=Path, required=True)
    for option in ("--srcarch", "--release"):
        parser.add_argument(option, required=True)
    args = parser.parse_args()
    make_headers(args.sources, args.obj, args.srcarch, args.release, args.out)


if __name__ == "__main__":
    stage_main(main)
