"""What comes of the config that a project asks for, and of each option that does not come out as asked: why.

Unlike `builder.stages.configure` it fails for no option: it tells. Outputs: `config` (the complete .config) and
`resolved.json`: `form`; `asked` (option to value, file and line); `dropped` (`name`, `asked`, `got`, `where`, `line`,
`reason`, `first`: option and value of what to set before it, `refused`: a build fails for it); `warnings`; `stops`,
what else a build fails for (`what`, `hint`, `where`, `line`).
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from builder.stages.common import StageError, stage_main, warning, write_json
from builder.stages.configmake import add_make, make_of
from builder.stages.configure import (
    CONFIG,
    add_signing,
    check_cross,
    dropped,
    localversion_warning,
    place_of,
    reproducible_warnings,
    resolve,
    wanted,
)
from builder.stages.dotconfig import Option, value_of
from builder.stages.kconfig import Kconfig
from builder.stages.kremedy import remedy
from builder.stages.signingoptions import check_options


def twice(files: Sequence[Sequence[Option]]) -> list[dict[str, Any]]:
    """A warning for each option that one file sets twice, to different values."""
    found = []
    for options in files:
        seen: dict[str, Option] = {}
        for option in options:
            before = seen.get(option.name)
            if before is not None and before.value != option.value:
                what = f"{option} stands against {before} in line {before.line}: the last one counts"
                found.append(warning("config-twice", what, where=option.where, line=option.line))
            seen[option.name] = option
    return found


def lost(kconfig: Kconfig, form: str, asks: Mapping[str, Option], values: Mapping[str, str]) -> list[dict[str, Any]]:
    """What did not come out as asked, and why."""
    found = []
    for ask in dropped(wanted(form, asks, kconfig), values):
        found.append(
            {
                "name": ask.name,
                "asked": ask.value,
                "got": value_of(values, ask.name),
                "where": ask.where,
                "line": ask.line,
                "reason": kconfig.explain(ask.name, ask.value, values),
                "first": remedy(kconfig, ask.name, ask.value, values),
                "refused": form == "minimal" or ask.where != CONFIG,
            }
        )
    return found


def stops(
    asks: Mapping[str, Option], values: Mapping[str, str], *, cross: bool, signing: bool, certificate: Path, tree: Path
) -> list[dict[str, Any]]:
    """What a build fails for, beside what does not come out as asked."""
    found = []
    checks = [partial(check_options, values, signing=signing, certificate=certificate, tree=tree, where=CONFIG)]
    for check in [*checks, *([partial(check_cross, asks, values)] if cross else [])]:
        try:
            check()
        except StageError as error:
            found.append({"what": error.what, "hint": error.hint, "where": error.where, "line": error.line})
    return found


def main() -> None:
    """Command line; see the module's text. `--obj` is the folder that `builder.stages.kconfigfacts` left."""
    parser = argparse.ArgumentParser(prog="configask", description=__doc__)
    for option in ("--tree", "--obj", "--config", "--fragments", "--out"):
        parser.add_argument(option, type=Path, required=True)
    for option in ("--srcarch", "--localversion"):
        parser.add_argument(option, required=True)
    add_make(parser)
    add_signing(parser)
    args = parser.parse_args()
    signing = args.signing == "key"
    make = make_of(args, args.obj)
    kconfig = Kconfig(args.tree, args.srcarch)
    form, files, asks, values = resolve(
        make, args.obj, lambda: kconfig, args.config, args.fragments, args.localversion, signing=signing
    )
    args.out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(args.obj / ".config", args.out / "config")
    version = make("kernelversion").split()[-1]
    report = {
        "form": form,
        "asked": {ask.name: place_of(ask) for ask in asks.values()},
        "dropped": lost(kconfig, form, asks, values),
        "warnings": [
            *twice(files),
            *localversion_warning(asks, args.localversion),
            *reproducible_warnings(asks, values, version),
        ],
        "stops": stops(
            asks,
            values,
            cross=bool(args.cross_compile),
            signing=signing,
            certificate=args.certificate,
            tree=args.tree,
        ),
    }
    write_json(args.out / "resolved.json", report)


if __name__ == "__main__":
    stage_main(main)
