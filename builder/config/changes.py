"""Where two configs differ, and why one option changed when another was set."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from builder.config.model import OWN, Facts
from builder.diff.compare import OF_THE_TOOLCHAIN
from builder.stages.dotconfig import value_of
from builder.stages.kexpr import LEVEL


@dataclass(frozen=True, kw_only=True)
class Change:
    """An option whose value is another one; `n` is off or absent."""

    name: str
    old: str
    new: str
    why: str = ""

    def as_json(self) -> dict[str, str]:
        return {"name": self.name, "old": self.old, "new": self.new, "why": self.why}


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[Change]:
    """The options that differ, in the order of the new config; what the build decides is left out."""
    names = dict.fromkeys([*new, *old])
    return [
        Change(name=name, old=value_of(old, name), new=value_of(new, name))
        for name in names
        if name not in OWN and value_of(old, name) != value_of(new, name)
    ]


def is_of_the_toolchain(name: str) -> bool:
    """Whether an option records the compiler and what it can do, which no config decides."""
    return OF_THE_TOOLCHAIN.fullmatch(name) is not None


def cause(change: Change, facts: Facts, changed: Collection[str]) -> str:
    """Why an option changed along with others; empty where that cannot be told.

    Args:
        changed: The options that were set or changed themselves.
    """
    option = facts.options.get(change.name)
    if option is None:
        return ""
    others = [name for name in changed if name != change.name]
    up = LEVEL.get(change.new, 0) > LEVEL.get(change.old, 0)
    selecting = [name for name in others if name in facts.options and change.name in facts.options[name].selects]
    if selecting and (up or not option.prompt):
        return f"selected by {_listed(selecting)}" if up else f"no longer selected by {_listed(selecting)}"
    if option.choice:
        chosen = [name for name in others if name in facts.options and facts.options[name].choice == option.choice]
        if chosen:
            return f"of the same choice as {_listed(chosen)}"
    needed = [name for name in others if name in option.needs]
    if needed:
        return f"its default, with {_listed(needed)}" if up else f"depends on {_listed(needed)}"
    return f"no longer selected by {_listed(selecting)}" if selecting else ""


def _listed(names: Collection[str]) -> str:
    shown = [f"CONFIG_{name}" for name in list(names)[:3]]
    return ", ".join(shown) + (" and others" if len(names) > 3 else "")
