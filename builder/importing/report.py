"""What a command of this package did: what it took over, what it changed, what it left out and why, what to do next."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from dataclasses import dataclass, field
from typing import Any

WIDTH = 116
"""The most characters of a line, and those of one that goes to no terminal."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One line of a report.

    Attributes:
        what: What it is about: a file of the checkout (`scripts/hooks/01-driver`), a setting, a line (`file:line`).
        why: What became of it, or why nothing did.
        error: A mistake in the checkout is why: without it, it would have been taken over.
    """

    what: str
    why: str
    error: bool = False


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

    def leave(self, what: str, why: str, *, error: bool = False) -> None:
        self.left.append(Item(what=what, why=why, error=error))

    @property
    def errors(self) -> list[str]:
        """What was not taken over because of a mistake, a line each."""
        return [printable(f"{item.what}: {item.why}") for item in self.left if item.error]

    def as_json(self) -> str:
        data: dict[str, Any] = dataclasses.asdict(self)
        return json.dumps(data, indent=1)

    def text(self, width: int = WIDTH) -> str:
        """For a terminal; no control character of a file's name or content reaches it."""
        column = max(map(len, self.facts), default=0) + 2
        lines = [f"project {self.project}"]
        for name, value in self.facts.items():
            lines += _wrapped(f"{name:{column}}{value}", width, " " * (column + 2))
        for title, items in (
            ("not taken over, because of an error", [item for item in self.left if item.error]),
            ("taken over", self.taken),
            ("changed", self.changed),
            ("not taken over", [item for item in self.left if not item.error]),
        ):
            if items:
                lines += ["", f"{title}:"]
                for item in items:
                    lines += _wrapped(f"{item.what}: {item.why}", width, "      ")
        if self.steps:
            lines += ["", "next:", *(f"  {step}" for step in self.steps)]
        return "\n".join(map(printable, lines))


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    """Lines of a text; a word that is too long, such as a path, stays whole."""
    return textwrap.wrap(
        printable(text),
        min(width, WIDTH),
        initial_indent="  ",
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def printable(text: str) -> str:
    """The text with a question mark for each character that a terminal could take for a command."""
    return "".join(char if char.isprintable() else "?" for char in text)


def some(words: list[str], most: int = 6) -> str:
    """The first few of many, as a list for people."""
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")
