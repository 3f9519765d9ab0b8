"""Expressions of Kconfig: taken apart, evaluated for a config, and shown with the values of their options.

See "Menu dependencies" in Documentation/kbuild/kconfig-language.rst. Levels are numbers here: 0 (n), 1 (m), 2 (y).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

LEVEL = {"n": 0, "m": 1, "y": 2}
_TOKEN = re.compile(r"\s*(\$\(|&&|\|\||!=|<=|>=|[!=<>()]|\"(?:[^\"\\]|\\.)*\"|'[^']*'|[\w./$-]+)")


def tokens(text: str) -> list[str]:
    """The words and operators of an expression; a `$(macro …)` is one word."""
    found = []
    at = 0
    while match := _TOKEN.match(text, at):
        word, at = match[1], match.end()
        if word == "$(":
            depth = 1
            while depth and at < len(text):
                depth += {"(": 1, ")": -1}.get(text[at], 0)
                at += 1
            word = text[match.start(1) : at]
        found.append(word)
    return found


def conjuncts(text: str) -> list[str]:
    """The parts of an expression that `&&` joins at its top level."""
    parts: list[list[str]] = [[]]
    depth = 0
    for word in tokens(text):
        depth += {"(": 1, ")": -1}.get(word, 0)
        if word == "||" and depth == 0:
            return [text]
        if word == "&&" and depth == 0:
            parts.append([])
        else:
            parts[-1].append(word)
    return [_joined(part) for part in parts if part]


def disjuncts(text: str) -> list[str]:
    """The parts of an expression that `||` joins at its top level."""
    parts: list[list[str]] = [[]]
    depth = 0
    for word in tokens(text):
        depth += {"(": 1, ")": -1}.get(word, 0)
        if word == "||" and depth == 0:
            parts.append([])
        else:
            parts[-1].append(word)
    return [_joined(part) for part in parts if part]


def _joined(words: Sequence[str]) -> str:
    text = " ".join(words)
    return re.sub(r"(?<=[(!]) | (?=\))", "", re.sub(r"\s*(!?=)\s*", r"\1", text).replace("! ", "!"))


def annotate(text: str, values: Mapping[str, str]) -> str:
    """An expression with each option's value behind it: `INET (n) && NET (y)`."""
    return _joined([f"{word} ({values.get(word, 'n')})" if is_option(word) else word for word in tokens(text)])


def is_option(word: str) -> bool:
    """Whether a word of an expression is the name of an option, not a level, a number or a text."""
    return re.fullmatch(r"[A-Z0-9_a-z]*[A-Z][A-Z0-9_a-z]*", word) is not None


def evaluate(text: str, values: Mapping[str, str]) -> int:
    """An expression's value: 0 (n), 1 (m) or 2 (y). A macro, whose value only kconfig knows, counts as y."""
    return _Evaluation(tokens(text), values).any_of()


class _Evaluation:
    def __init__(self, words: list[str], values: Mapping[str, str]) -> None:
        self.words = words
        self.values = values

    def take(self, *wanted: str) -> str:
        if self.words and (not wanted or self.words[0] in wanted):
            return self.words.pop(0)
        return ""

    def any_of(self) -> int:
        value = self.all_of()
        while self.take("||"):
            value = max(value, self.all_of())
        return value

    def all_of(self) -> int:
        value = self.one()
        while self.take("&&"):
            value = min(value, self.one())
        return value

    def one(self) -> int:
        if self.take("!"):
            return 2 - self.one()
        if self.take("("):
            value = self.any_of()
            self.take(")")
            return value
        left = self.take()
        operator = self.take("=", "!=", "<", ">", "<=", ">=")
        if operator:
            return 2 if _compare(self.text_of(left), operator, self.text_of(self.take())) else 0
        if left.startswith("$("):
            return 2
        return LEVEL.get(self.text_of(left), 0)

    def text_of(self, word: str) -> str:
        return self.values.get(word, "n").strip('"') if is_option(word) else word.strip("\"'")


def _compare(left: str, operator: str, right: str) -> bool:
    if operator in ("=", "!="):
        return (left == right) == (operator == "=")
    a, b = to_number(left), to_number(right)
    if a is None or b is None:
        return False
    return {"<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b}[operator]


def to_number(text: str) -> int | None:
    """A number of kconfig, decimal or hexadecimal with 0x; None for what is none."""
    try:
        return int(text, 16 if text.lower().startswith(("0x", "-0x")) else 10)
    except ValueError:
        return None
