"""What a kernel's options are when nobody asks for anything, and kbuild's output folder to configure in.

Output: a JSON object of option (`CONFIG_NET`) to value, as `make alldefconfig` sets them; what is off is left out. The
folder has kconfig's own program from then on, so that configuring need not compile it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from builder.stages.common import stage_main, write_json
from builder.stages.configmake import add_make, make_of, read_values


def main() -> None:
    """Command line: `--tree T --obj DIR --out FILE` and what make is told."""
    parser = argparse.ArgumentParser(prog="kconfigdefaults", description=__doc__)
    for option in ("--tree", "--obj", "--out"):
        parser.add_argument(option, type=Path, required=True)
    add_make(parser)
    args = parser.parse_args()
    args.obj.mkdir(parents=True, exist_ok=True)
    (args.obj / ".config").write_text("")
    make_of(args, args.obj)("olddefconfig")
    values = read_values(args.obj / ".config")
    write_json(args.out, {f"CONFIG_{name}": value for name, value in values.items() if value != "n"})


if __name__ == "__main__":
    stage_main(main)
