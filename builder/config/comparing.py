"""`rosk config diff`: the options in which two configs differ, by where they stand in the kernel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any

from builder.config.ask import ConfigOptions, console
from builder.config.changes import Change, differences, is_of_the_toolchain
from builder.config.model import KernelOption
from builder.config.sides import Side, Sides
from builder.verify.model import count

_UNKNOWN = "not in this kernel"


def group_of(option: KernelOption | None) -> str:
    """Where an option stands, in two folders at most (`drivers/net`)."""
    if option is None:
        return _UNKNOWN
    parts = PurePosixPath(option.where).parent.parts[:2]
    return "/".join(parts) or "top"


def run_diff(old: str, new: str, options: ConfigOptions) -> bool:
    """Print in what two configs differ; whether they do.

    Args:
        old, new: See `builder.config.sides.WORDS`.

    Raises:
        InputError: There is no such config.
        RoskError: The engine or a source cannot be had.
    """
    sides = Sides(options)
    before, after = sides.find(old), sides.find(new)
    known = sides.answer.facts.options
    changes = differences(before.values, after.values)
    if options.as_json:
        print(json.dumps(as_json(before, after, changes, known), indent=1))
    else:
        _print(before, after, changes, known)
    return bool(changes)


def as_json(old: Side, new: Side, changes: list[Change], known: Mapping[str, KernelOption]) -> dict[str, Any]:
    """The differences, for programs; `n` is off or absent."""
    rows = []
    for each in changes:
        option = known.get(each.name)
        rows.append(
            {
                "name": each.name,
                "old": each.old,
                "new": each.new,
                "group": "toolchain" if is_of_the_toolchain(each.name) else group_of(option),
                "prompt": option.prompt if option else "",
            }
        )
    return {"old": old.name, "new": new.name, "options": rows}


def _print(old: Side, new: Side, changes: list[Change], known: Mapping[str, KernelOption]) -> None:
    out = console()
    out.print(f"{old.name} → {new.name}", markup=False)
    own = [each for each in changes if not is_of_the_toolchain(each.name)]
    # What a config can set comes first in each group; what has no prompt follows from other options.
    rows = sorted(own, key=lambda each: (group_of(known.get(each.name)), not _prompt(known, each.name)))
    for group, each in groupby(rows, key=lambda row: group_of(known.get(row.name))):
        changed = list(each)
        out.print(f"\n{group}", markup=False, style="bold")
        for change in changed:
            prompt = _prompt(known, change.name)
            text = f"  CONFIG_{change.name}: {change.old} → {change.new}"
            out.print(f"{text}  {prompt}" if prompt else f"{text}  (follows from others)", markup=False)
    toolchain = [each for each in changes if is_of_the_toolchain(each.name)]
    if toolchain:
        out.print("\ntoolchain", style="bold")
        for change in toolchain:
            out.print(f"  CONFIG_{change.name}: {change.old} → {change.new}", markup=False)
    settable = sum(bool(_prompt(known, each.name)) for each in own)
    out.print(
        f"\n{count(len(changes), 'option')} differ, {settable} of them can be set" if changes else "no option differs"
    )


def _prompt(known: Mapping[str, KernelOption], name: str) -> str:
    option = known.get(name)
    return option.prompt if option else ""
