"""make's arguments for the tools that kbuild works with: the compiler, and what old trees need to be told.

LLVM=1 is kbuild's own word for clang with all that goes with it: ld.lld, llvm-nm and so on, for the kernel and for its
host programs (Documentation/kbuild/llvm.rst).
"""

from __future__ import annotations

import argparse
import shlex

GCC, CLANG = "gcc", "clang"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options `--compiler` and `--make-variables` of a stage that runs make."""
    parser.add_argument("--compiler", choices=(GCC, CLANG), default=GCC)
    parser.add_argument("--make-variables", default="", help="further words for make, quoted for a shell")


def tool_arguments(compiler: str, variables: str) -> list[str]:
    """The words, in the order in which make takes them."""
    return [*(["LLVM=1"] if compiler == CLANG else []), *shlex.split(variables)]
