"""What a command of this package did: what it took over, what it changed, what it left out and why, what to do next."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from dataclasses import dataclass, field
from typing import Any

_WIDTH = 116


@dataclass(frozen=True, kw_only=True)
class Item:
    """One line of a report.

    Attributes:
        what: What it is about: a file of the checkout (`scripts/hooks/01-driver`), a setting, a line (`file:line`).
        why: What became of it, or why nothing did.
    """

    what: str
    why: str


@dataclass(kw_only=True)
class Report:
    """All of it.

    Attributes:
        project: The folder that was written.
        facts: What the project is: kernel, org, … by name.
        taken: What was taken over as it is.
        changed: What is not as it was.
        left: What was not taken over.
        steps: What to do next, one command or sentence each.
    """

    project: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    taken: list[Item] = field(default_factory=list)
    changed: list[Item] = field(default_factory=list)
    left: list[Item] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)

    def take(self, what: str, why: str) -> None:
        self.taken.append(Item(what=what, why=why))

    def change(self, what: str, why: str) -> None:
        self.changed.append(Item(what=what, why=why))

    def leave(self, what: str, why: str) -> None:
        self.left.append(Item(what=what, why=why))

    def as_json(self) -> str:
        data: dict[str, Any] = dataclasses.asdict(self)
        return json.dumps(data, indent=1)

    def text(self) -> str:
        """For a terminal; no control character of a file's name or content reaches it."""
        width = max(map(len, self.facts), default=0) + 2
        lines = [f"project {self.project}", *(f"  {name:{width}}{value}" for name, value in self.facts.items())]
        for title, items in (
            ("taken over", self.taken),
            ("changed", self.changed),
            ("not taken over", self.left),
        ):
            if items:
                lines += ["", f"{title}:"]
                for item in items:
                    lines += textwrap.wrap(
                        printable(f"{item.what}: {item.why}"),
                        _WIDTH,
                        initial_indent="  ",
                        subsequent_indent="      ",
                        break_long_words=False,
                        break_on_hyphens=False,
                    )
        if self.steps:
            lines += ["", "next:", *(f"  {step}" for step in self.steps)]
        return "\n".join(map(printable, lines))


def printable(text: str) -> str:
    """The text with a question mark for each character that a terminal could take for a command."""
    return "".join(char if char.isprintable() else "?" for char in text)


def some(words: list[str], most: int = 6) -> str:
    """The first few of many, as a list for people."""
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")
