"""A light reader of kbuild Makefiles: variables, conditionals and the common text functions of GNU make.

Rules and recipes are passed over, and what only a shell or a compiler could answer (`$(shell …)`,
`$(call cc-option,…)`) is empty. That is enough for what kbuild Makefiles list: objects and folders.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

_REFERENCE = r"\$\((?:[^()]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))*\)"
_ASSIGNMENT = re.compile(
    rf"(?:override\s+|export\s+)*((?:{_REFERENCE}|[^\s:=+?#$])+)\s*(\+=|\?=|::?=|=)\s*(.*)$", re.DOTALL
)
_CONDITION = re.compile(r"(ifeq|ifneq|ifdef|ifndef|else|endif)\b\s*(.*)$", re.DOTALL)
_MAX_DEPTH = 40


class Makefile:
    """The variables that a Makefile sets.

    Args:
        tree: The source tree; `$(srctree)`.
        given: Variables set before it is read.
    """

    def __init__(self, tree: Path, given: Mapping[str, str]) -> None:
        self.tree = tree
        self.variables = {**given, "srctree": str(tree), "objtree": "."}
        # For each variable: whether it is expanded where it is used (`=`) and not where it is set (`:=`).
        self.late: set[str] = set()
        self.depth = 0

    def read(self, path: Path) -> None:
        """Read a file; one that does not exist is empty."""
        try:
            text = path.read_text(errors="replace")
        except OSError:
            return
        # One item per open conditional: whether its branch is taken, and whether any branch of it was.
        open_: list[tuple[bool, bool]] = []
        in_rule = in_define = False
        for line in logical_lines(text):
            stripped = line.strip()
            if in_define or stripped.startswith("define "):
                in_define = stripped != "endef"
                continue
            if match := _CONDITION.match(stripped):
                self._conditional(match[1], match[2], open_)
                continue
            if not stripped or not all(taken for taken, _ in open_) or (in_rule and line.startswith("\t")):
                continue
            in_rule = False
            if match := _ASSIGNMENT.match(stripped):
                self.assign(match[1], match[2], match[3])
            elif include := re.match(r"-?include\s+(.*)", stripped):
                for name in self.expand(include[1]).split():
                    self._include(Path(name), path)
            else:
                in_rule = ":" in stripped

    def words(self, name: str) -> list[str]:
        """The words of a variable."""
        return self.value(name).split()

    def value(self, name: str) -> str:
        """A variable's value; empty when it is not set."""
        text = self.variables.get(name, "")
        return self.expand(text) if name in self.late else text

    def assign(self, name: str, operator: str, text: str) -> None:
        """Do what a line `NAME OPERATOR TEXT` does."""
        for key in self.expand(name).split():
            if operator == "?=" and key in self.variables:
                continue
            if operator == "+=" and key in self.variables:
                self.variables[key] += " " + (text if key in self.late else self.expand(text))
                continue
            late = operator in ("=", "?=", "+=")
            self.variables[key] = text if late else self.expand(text)
            (self.late.add if late else self.late.discard)(key)

    def _include(self, name: Path, including: Path) -> None:
        path = name if name.is_absolute() else self.tree / name
        if path.is_file() and path != including and self.depth < _MAX_DEPTH:
            self.depth += 1
            self.read(path)
            self.depth -= 1

    def _conditional(self, word: str, rest: str, open_: list[tuple[bool, bool]]) -> None:
        if word == "endif":
            if open_:
                open_.pop()
            return
        if word == "else":
            if not open_:
                return
            _, was = open_.pop()
            inner = _CONDITION.match(rest)
            now = not was and (inner is None or self._holds(inner[1], inner[2]))
            open_.append((now, was or now))
            return
        now = all(taken for taken, _ in open_) and self._holds(word, rest)
        open_.append((now, now))

    def _holds(self, word: str, rest: str) -> bool:
        if word in ("ifdef", "ifndef"):
            return bool(self.variables.get(self.expand(rest).strip(), "")) == (word == "ifdef")
        rest = rest.strip()
        if rest.startswith("("):
            sides = split_arguments(rest[1 : rest.rfind(")")])
        else:
            sides = [a or b for a, b in re.findall(r"\"([^\"]*)\"|'([^']*)'", rest)]
        left, right = (self.expand(side).strip() for side in (*sides, "", "")[:2])
        return (left == right) == (word == "ifeq")

    def expand(self, text: str) -> str:
        """Replace the references and function calls in `text`."""
        if "$" not in text or self.depth > _MAX_DEPTH:
            return text
        self.depth += 1
        parts = []
        at = 0
        while (dollar := text.find("$", at)) >= 0:
            parts.append(text[at:dollar])
            opener = text[dollar + 1 : dollar + 2]
            if opener in ("(", "{"):
                end = _closing(text, dollar + 1)
                parts.append(self._reference(text[dollar + 2 : end]))
                at = end + 1
            else:
                parts.append("$" if opener == "$" else self.value(opener))
                at = dollar + 2
        parts.append(text[at:])
        self.depth -= 1
        return "".join(parts)

    def _reference(self, text: str) -> str:
        name, space, rest = text.partition(" ")
        if space and name in _FUNCTIONS:
            return _FUNCTIONS[name](self, split_arguments(rest))
        if name in ("call", "shell", "eval", "error", "warning", "info"):
            return self._call(split_arguments(rest)) if name == "call" else ""
        name, colon, change = self.expand(text).partition(":")
        if colon and "=" in change:
            old, _, new = change.partition("=")
            old, new = (old, new) if "%" in old else (f"%{old}", f"%{new}")
            return " ".join(_substituted(word, old, new) for word in self.words(name))
        return self.value(name)

    def _call(self, arguments: list[str]) -> str:
        name, *values = (self.expand(argument).strip() for argument in arguments)
        if name not in self.late:
            return ""
        inner = {str(number): value for number, value in enumerate(values, 1)}
        saved = {key: self.variables.get(key, "") for key in inner}
        self.variables |= inner
        result = self.value(name)
        self.variables |= saved
        return result


def logical_lines(text: str) -> Iterator[str]:
    """The lines of a Makefile, continued ones joined, comments taken off."""
    for line in re.sub(r"\\\n[ \t]*", " ", text).split("\n"):
        yield re.sub(r"(?<!\\)#.*", "", line).rstrip() if "#" in line else line.rstrip()


def split_arguments(text: str) -> list[str]:
    """The parts of a function's arguments, between commas that are in no parentheses."""
    parts = [""]
    depth = 0
    for char in text:
        depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(char, 0)
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def _closing(text: str, start: int) -> int:
    depth = 0
    for at in range(start, len(text)):
        depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return at
    return len(text)


def _matches(word: str, pattern: str) -> bool:
    before, percent, after = pattern.partition("%")
    if not percent:
        return word == pattern
    return len(word) >= len(before) + len(after) and word.startswith(before) and word.endswith(after)


def _substituted(word: str, old: str, new: str) -> str:
    if not _matches(word, old):
        return word
    before, _, after = old.partition("%")
    stem = word[len(before) : len(word) - len(after)]
    return new.replace("%", stem, 1)


def _filter(make: Makefile, arguments: list[str], *, keep: bool) -> str:
    patterns, words = (make.expand(argument).split() for argument in (*arguments, "")[:2])
    return " ".join(word for word in words if any(_matches(word, pattern) for pattern in patterns) == keep)


def _patsubst(make: Makefile, arguments: list[str]) -> str:
    old, new, words = (make.expand(argument).strip() for argument in (*arguments, "", "")[:3])
    return " ".join(_substituted(word, old, new) for word in words.split())


def _if(make: Makefile, arguments: list[str]) -> str:
    condition, then, other = (*arguments, "", "")[:3]
    return make.expand(then if make.expand(condition).strip() else other)


def _or(make: Makefile, arguments: list[str]) -> str:
    return next((value for argument in arguments if (value := make.expand(argument).strip())), "")


def _and(make: Makefile, arguments: list[str]) -> str:
    values = [make.expand(argument).strip() for argument in arguments]
    return values[-1] if all(values) else ""


def _foreach(make: Makefile, arguments: list[str]) -> str:
    variable, words, body = (*arguments, "", "")[:3]
    results = []
    for word in make.expand(words).split():
        make.variables[variable.strip()] = word
        results.append(make.expand(body))
    return " ".join(results)


def _wildcard(make: Makefile, arguments: list[str]) -> str:
    found = []
    for pattern in make.expand(arguments[0]).split():
        path = make.tree / pattern
        if any(mark in pattern for mark in "*?["):
            found += sorted(str(each) for each in path.parent.glob("*") if fnmatchcase(each.name, path.name))
        elif path.exists():
            found.append(pattern)
    return " ".join(found)


def _subst(make: Makefile, arguments: list[str]) -> str:
    old, new, text = (make.expand(argument) for argument in (*arguments, "", "")[:3])
    return text.replace(old, new) if old else text


def _each(change: Callable[[str], str]) -> Callable[[Makefile, list[str]], str]:
    return lambda make, arguments: " ".join(change(word) for word in make.expand(",".join(arguments)).split())


_FUNCTIONS: dict[str, Callable[[Makefile, list[str]], str]] = {
    "filter": lambda make, arguments: _filter(make, arguments, keep=True),
    "filter-out": lambda make, arguments: _filter(make, arguments, keep=False),
    "addprefix": lambda make, a: " ".join(make.expand(a[0]).strip() + w for w in make.expand(a[-1]).split()),
    "addsuffix": lambda make, a: " ".join(w + make.expand(a[0]).strip() for w in make.expand(a[-1]).split()),
    "patsubst": _patsubst,
    "subst": _subst,
    "if": _if,
    "or": _or,
    "and": _and,
    "foreach": _foreach,
    "wildcard": _wildcard,
    "findstring": lambda make, a: make.expand(a[0]) if make.expand(a[0]) in make.expand(a[-1]) else "",
    "strip": _each(lambda word: word),
    "sort": lambda make, a: " ".join(sorted(set(make.expand(",".join(a)).split()))),
    "firstword": lambda make, a: " ".join(make.expand(",".join(a)).split()[:1]),
    "lastword": lambda make, a: " ".join(make.expand(",".join(a)).split()[-1:]),
    "notdir": _each(lambda word: word.rpartition("/")[2]),
    "dir": _each(lambda word: word.rpartition("/")[0] + "/" if "/" in word else "./"),
    "basename": _each(lambda word: re.sub(r"\.[^./]*$", "", word)),
}
