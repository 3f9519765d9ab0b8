"""Edit the text of a `.config` or a fragment as a person would: one line for one option, all others as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from builder.stages.dotconfig import format_option

_LINE = re.compile(r"\s*(?:CONFIG_(\w+)=.*|# CONFIG_(\w+) is not set)\s*$")


def assign(text: str, changes: Mapping[str, str | None], order: Sequence[str] = ()) -> str:
    """The text with options set to other values.

    An option that is there is changed where it stands last, where it counts; its other lines go. A new one goes
    behind the nearest option that comes before it in `order`, else to the end.

    Args:
        text: The file's text.
        changes: Option (without `CONFIG_`) to value as in a `.config` (a string with its quotes, `n`); None: no line.
        order: All options in the order of the Kconfig files.
    """
    lines = text.splitlines()
    found = _places(lines)
    replaced: dict[int, str | None] = {}
    for name, value in changes.items():
        places = found.get(name, [])
        replaced.update(dict.fromkeys(places))
        if places and value is not None:
            replaced[places[-1]] = _same(lines[places[-1]], format_option(name, value))
    new = {name: value for name, value in changes.items() if name not in found and value is not None}
    behind = _behind(found, new, order)
    result = []
    for number, line in enumerate(lines):
        kept = replaced.get(number, line)
        if kept is not None:
            result.append(kept)
        result += [format_option(name, new[name]) for name in behind.get(number, ())]
    result += [format_option(name, new[name]) for name in behind.get(-1, ())]
    end = "\r\n" if "\r\n" in text else "\n"
    return end.join([*result, ""]) if result else ""


def rename(text: str, names: Mapping[str, str]) -> str:
    """The text with options under other names, each in its line."""

    def renamed(match: re.Match[str]) -> str:
        return match[0].replace(f"CONFIG_{match[1]}", f"CONFIG_{names.get(match[1], match[1])}", 1)

    return re.sub(r"^\s*(?:# )?CONFIG_(\w+)(?:=| is not set).*", renamed, text, flags=re.MULTILINE)


def _same(old: str, new: str) -> str:
    """The old line where it says the same."""
    return old if old.strip() == new else new


def _places(lines: Sequence[str]) -> dict[str, list[int]]:
    """Option → its lines, from 0."""
    found: dict[str, list[int]] = {}
    for number, line in enumerate(lines):
        if match := _LINE.match(line):
            found.setdefault(match[1] or match[2], []).append(number)
    return found


def _behind(found: Mapping[str, list[int]], new: Mapping[str, str], order: Sequence[str]) -> dict[int, list[str]]:
    """Line → the new options that come behind it, in their order; -1 is the end of the file."""
    rank = {name: number for number, name in enumerate(order)}
    known = sorted((rank[name], places[-1]) for name, places in found.items() if name in rank)
    behind: dict[int, list[str]] = {}
    for name in sorted(new, key=lambda name: rank.get(name, len(rank))):
        before = [line for place, line in known if name in rank and place < rank[name]]
        behind.setdefault(before[-1] if before else -1, []).append(name)
    return behind
