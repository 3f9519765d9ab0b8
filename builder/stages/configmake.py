"""make and .config, for the stages that configure a kernel tree."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from builder.stages.common import StageError, run
from builder.stages.dotconfig import config_values
from builder.stages.maketools import add_options, tool_arguments


class Make:
    """kbuild on a source tree with an output folder of its own; `tools` are words of `builder.stages.maketools`."""

    def __init__(self, tree: Path, obj: Path, arch: str, cross_compile: str = "", tools: Sequence[str] = ()) -> None:
        words = ["make", "-s", "-C", str(tree), f"O={obj}", f"ARCH={arch}", f"CROSS_COMPILE={cross_compile}"]
        self.words = [*words, *tools]

    def __call__(self, target: str) -> str:
        """Make `target`; returns what was printed, warnings included.

        Raises:
            StageError: make failed.
        """
        # An empty LOCALVERSION keeps kbuild's setlocalversion from adding "+" in a git tree.
        done = run([*self.words, target], env={"LC_ALL": "C", "LOCALVERSION": ""}, check=False)
        if done.returncode != 0:
            raise StageError(
                f"make {target} failed in the kernel tree",
                hint="see what make says",
                details=(done.stdout + done.stderr).splitlines()[-20:],
            )
        return done.stdout + done.stderr


def add_make(parser: argparse.ArgumentParser) -> None:
    """The options that say what make is told."""
    parser.add_argument("--arch", required=True)
    parser.add_argument("--cross-compile", default="")
    add_options(parser)


def read_values(config: Path) -> dict[str, str]:
    """The values of a complete .config by option name."""
    return config_values(config.read_bytes(), "config")


def make_of(args: argparse.Namespace, obj: Path) -> Make:
    """make, for the tree and the tools that the command line names."""
    return Make(args.tree, obj, args.arch, args.cross_compile, tool_arguments(args.compiler, args.make_variables))
