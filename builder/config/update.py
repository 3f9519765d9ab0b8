"""What becomes of a config on another kernel: what is new, gone, and set otherwise. A pure function of two answers."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from builder.config.changes import cause, differences, is_of_the_toolchain
from builder.config.comparing import group_of
from builder.config.model import OWN, Answer, Dropped


@dataclass(frozen=True, kw_only=True)
class NewOption:
    """An option that only the new kernel has and a config can set, with the value it got."""

    name: str
    value: str
    prompt: str
    help: str
    group: str


@dataclass(frozen=True, kw_only=True)
class Gone:
    """An option that the new kernel has not.

    Attributes:
        value: What it was.
        where, line: The line that asks for it; empty and 0 where it only came along.
        renamed: Its probable new name; empty where none is known.
        sure: The new name has the very same prompt.
    """

    name: str
    value: str
    where: str = ""
    line: int = 0
    renamed: str = ""
    sure: bool = False


@dataclass(frozen=True, kw_only=True)
class Moved:
    """An option of both kernels whose value is another one."""

    name: str
    old: str
    new: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Update:
    """What becomes of a config on another kernel.

    Attributes:
        old, new: The kernel versions.
        lost: What the files ask for and the new kernel does not give; options that are gone are not among them.
    """

    old: str
    new: str
    fresh: tuple[NewOption, ...]
    gone: tuple[Gone, ...]
    changed: tuple[Moved, ...]
    lost: tuple[Dropped, ...]


def compare(old: Answer, new: Answer) -> Update:
    """What becomes of a config from one kernel to another."""
    gone = tuple(
        _gone(name, old, new)
        for name, option in old.facts.options.items()
        if name not in new.facts.options
        and name not in OWN
        and (name in old.config.asked or (option.prompt and old.config.value(name) not in ("n", '""')))
    )
    never = [
        Gone(name=name, value=asked.value, where=asked.where, line=asked.line)
        for name, asked in old.config.asked.items()
        if name not in old.facts.options and name not in new.facts.options
    ]
    lost = {each.name: each for each in new.config.dropped if each.name in new.facts.options}
    changes = [
        each
        for each in differences(old.config.values, new.config.values)
        if each.name in old.facts.options and each.name in new.facts.options and new.facts.options[each.name].prompt
    ]
    changed = [each.name for each in changes]
    return Update(
        old=old.facts.version,
        new=new.facts.version,
        fresh=tuple(_fresh(old, new, {each.renamed for each in gone if each.sure})),
        gone=(*gone, *never),
        changed=tuple(
            Moved(
                name=each.name,
                old=each.old,
                new=each.new,
                why=lost[each.name].reason if each.name in lost else cause(each, new.facts, changed),
            )
            for each in changes
            if not is_of_the_toolchain(each.name)
        ),
        lost=tuple(lost.values()),
    )


def _fresh(old: Answer, new: Answer, renamed: set[str]) -> Sequence[NewOption]:
    """The options that are new, without those that only have a new name."""
    return [
        NewOption(
            name=name, value=new.config.value(name), prompt=option.prompt, help=option.help, group=group_of(option)
        )
        for name, option in new.facts.options.items()
        if name not in old.facts.options
        and name not in renamed
        and option.prompt
        and name in new.config.values
        and not is_of_the_toolchain(name)
    ]


def _gone(name: str, old: Answer, new: Answer) -> Gone:
    asked = old.config.asked.get(name)
    renamed, sure = find_rename(name, old, new)
    return Gone(
        name=name,
        value=asked.value if asked else old.config.value(name),
        where=asked.where if asked else "",
        line=asked.line if asked else 0,
        renamed=renamed,
        sure=sure,
    )


def find_rename(name: str, old: Answer, new: Answer) -> tuple[str, bool]:
    """What an option that is gone is probably called now, and whether its prompt is the very same."""
    was = old.facts.options[name]
    fresh = [other for other in new.facts.options if other not in old.facts.options]
    same = [
        other
        for other in fresh
        if " " in was.prompt
        and new.facts.options[other].prompt == was.prompt
        and new.facts.options[other].type == was.type
    ]
    if len(same) == 1:
        return same[0], True
    near = difflib.get_close_matches(name, same or fresh, n=1, cutoff=0.75)
    return (near[0], False) if near else ("", False)
