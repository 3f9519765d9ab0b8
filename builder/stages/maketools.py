"""make's arguments for the tools that kbuild works with: the compiler, and what old trees need to be told.

LLVM=1 is kbuild's own word for clang with all that goes with it: ld.lld, llvm-nm and so on, for the kernel and for its
host programs (Documentation/kbuild/llvm.rst).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from builder.stages.common import run

GCC, CLANG = "gcc", "clang"
_BINUTILS = ("as", "ld", "ar", "nm", "objcopy", "objdump", "readelf", "strip")
_LLVM = ("ld.lld", *(f"llvm-{name}" for name in ("ar", "nm", "objcopy", "objdump", "readelf", "strip")))
_ELSEWHERE = (Path("/usr/local"), Path("/opt"))


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options `--compiler` and `--make-variables` of a stage that runs make."""
    parser.add_argument("--compiler", choices=(GCC, CLANG), default=GCC)
    parser.add_argument("--make-variables", default="", help="further words for make, quoted for a shell")


def tool_arguments(compiler: str, variables: str) -> list[str]:
    """The words, in the order in which make takes them."""
    return [*(["LLVM=1"] if compiler == CLANG else []), *shlex.split(variables)]


def toolchain_digest(packages: Path, compiler: str) -> str:
    """A checksum over the toolchain: Debian's packages, and what may come from elsewhere.

    That is the compiler itself and the other programs that kbuild runs to make code, by their content, and all of
    /usr/local and /opt, which may be large, by names, sizes and times.

    Args:
        packages: The list of the installed packages.
        compiler: gcc or clang, as make calls it.
    """
    digest = hashlib.sha256(packages.read_bytes())
    own = compiler == CLANG
    prefix = "" if own else compiler.removesuffix(GCC)
    programs = [shutil.which(compiler), None if own else _inner(compiler)]
    programs += [shutil.which(f"{prefix}{name}") for name in (_LLVM if own else _BINUTILS)] + [shutil.which("pahole")]
    for program in filter(None, programs):
        digest.update(os.fsencode(f"{program} ") + hashlib.sha256(Path(program).read_bytes()).digest())
    for line in _elsewhere():
        digest.update(os.fsencode(line))
    return digest.hexdigest()


def _elsewhere() -> Iterator[str]:
    """A line for each file where software is put that is of no package (FHS 3.0: /opt and /usr/local)."""
    for top in _ELSEWHERE:
        for folder, folders, files in os.walk(top):
            folders.sort()
            for path in (Path(folder, name) for name in sorted(files)):
                stat = path.lstat()
                yield f"{path} {stat.st_size} {stat.st_mtime_ns}\n"


def _inner(compiler: str) -> str | None:
    """What gcc's driver runs to compile."""
    if shutil.which(compiler) is None:
        return None
    return shutil.which(run([compiler, "-print-prog-name=cc1"]).stdout.strip())
