"""make's arguments for the tools that kbuild works with: the compiler, and what old trees need to be told.

LLVM=1 is kbuild's own word for clang with all that goes with it: ld.lld, llvm-nm and so on, for the kernel and for its
host programs (Documentation/kbuild/llvm.rst).
"""

from __future__ import annotations

import argparse
import hashlib
import shlex
import shutil
from pathlib import Path

from builder.stages.common import run

GCC, CLANG = "gcc", "clang"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options `--compiler` and `--make-variables` of a stage that runs make."""
    parser.add_argument("--compiler", choices=(GCC, CLANG), default=GCC)
    parser.add_argument("--make-variables", default="", help="further words for make, quoted for a shell")


def tool_arguments(compiler: str, variables: str) -> list[str]:
    """The words, in the order in which make takes them."""
    return [*(["LLVM=1"] if compiler == CLANG else []), *shlex.split(variables)]


def toolchain_digest(packages: Path, compiler: str) -> str:
    """A checksum over the toolchain: Debian's packages, and the compiler itself, which may come from elsewhere.

    Args:
        packages: The list of the installed packages.
        compiler: gcc or clang, as make calls it.
    """
    digest = hashlib.sha256(packages.read_bytes())
    for program in (shutil.which(compiler), None if compiler == CLANG else _inner(compiler)):
        if program:
            digest.update(hashlib.sha256(Path(program).read_bytes()).digest())
    return digest.hexdigest()


def _inner(compiler: str) -> str | None:
    """What gcc's driver runs to compile."""
    if shutil.which(compiler) is None:
        return None
    return shutil.which(run([compiler, "-print-prog-name=cc1"]).stdout.strip())
