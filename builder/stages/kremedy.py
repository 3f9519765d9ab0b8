"""What has to be set first, so that an option can have the value that was asked for.

A proposal: it follows the conditions of Kconfig as far as they are plain (an option, its negation, one of several), and
gives up where they are not. Whether it helps is for kconfig to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from builder.stages.kconfig import Kconfig
from builder.stages.kexpr import LEVEL, conjuncts, disjuncts, evaluate, is_option

_DEPTH = 8


def remedy(kconfig: Kconfig, name: str, asked: str, values: Mapping[str, str]) -> list[list[str]]:
    """Option and value of each thing to set before `name`, in that order; empty where none is known.

    Args:
        values: The config's values by option name, as it came out.
    """
    found = _Search(kconfig, values)
    if asked == "n":
        return found.release(name)
    if asked not in LEVEL or not found.reach(name, LEVEL[asked], _DEPTH):
        return []
    return [[option, value] for option, value in found.set.items() if option != name]


class _Search:
    def __init__(self, kconfig: Kconfig, values: Mapping[str, str]) -> None:
        self.kconfig = kconfig
        self.values = dict(values)
        self.set: dict[str, str] = {}

    def release(self, name: str) -> list[list[str]]:
        """What selects an option, off."""
        on = [
            select.by
            for select in self.kconfig.selects.get(name, [])
            if LEVEL.get(self.values.get(select.by, "n"), 0) and evaluate(select.condition, self.values)
        ]
        plain = all(self.kconfig.has_prompt(by) for by in on)
        return [[by, "n"] for by in dict.fromkeys(on)] if plain else []

    def reach(self, name: str, level: int, depth: int) -> bool:
        """Have an option at a level: what it needs is set first, then itself. Whether that can be done."""
        if LEVEL.get(self.values.get(name, "n"), 0) >= level:
            return True
        if not depth or not self.kconfig.has_prompt(name):
            return False
        for entry in self.kconfig.options[name]:
            before = (dict(self.values), dict(self.set))
            if entry.prompt and self.all([condition.text for condition in entry.conditions], level, depth - 1):
                value = "y" if level == 2 or self.kconfig.type_of(name) == "bool" else "m"
                self.values[name] = self.set[name] = value
                return True
            self.values, self.set = before
        return False

    def all(self, conditions: Sequence[str], level: int, depth: int) -> bool:
        return all(self.holds(part, level, depth) for text in conditions for part in conjuncts(text))

    def holds(self, part: str, level: int, depth: int) -> bool:
        """Have one part of a condition hold."""
        if evaluate(part, self.values) >= level:
            return True
        if is_option(part):
            return self.reach(part, level, depth)
        if part.startswith("!") and is_option(part[1:]):
            return self.drop(part[1:])
        if match := re.fullmatch(r"(\w+)=(y|m)", part):
            return self.reach(match[1], LEVEL[match[2]], depth)
        either = disjuncts(part)
        if len(either) > 1:
            return any(self.holds(each, level, depth) for each in either)
        return part.startswith("(") and part.endswith(")") and self.all([part[1:-1]], level, depth)

    def drop(self, name: str) -> bool:
        """Have an option off, where only a config keeps it on."""
        if not self.kconfig.has_prompt(name) or self.release(name):
            return False
        self.values[name] = self.set[name] = "n"
        return True
