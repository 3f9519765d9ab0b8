"""A light reader of Kconfig files, to say why an option did not come out as asked.

Knows what reasons are made of (Documentation/kbuild/kconfig-language.rst): the options with their types and prompts,
`depends on` and the enclosing `menu` and `if`, choices, `select`. It decides nothing: the result is kconfig's own.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_LEVEL = {"n": 0, "m": 1, "y": 2}
_TYPES = ("bool", "tristate", "string", "int", "hex")
_TOKEN = re.compile(r"\s*(\$\(|&&|\|\||!=|<=|>=|[!=<>()]|\"(?:[^\"\\]|\\.)*\"|'[^']*'|[\w./$-]+)")


@dataclass(frozen=True, kw_only=True)
class Condition:
    """An expression of Kconfig that has to hold, and where it stands."""

    text: str
    where: str
    line: int


@dataclass(kw_only=True)
class Choice:
    """A `choice` block: at most one of its members is y."""

    where: str
    line: int
    members: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Definition:
    """One `config` entry of an option (an option can have several), with the conditions around it."""

    where: str
    line: int
    conditions: list[Condition]
    choice: Choice | None = None
    type: str = ""
    prompt: bool = False


@dataclass(frozen=True, kw_only=True)
class Select:
    """`select` of an option by another one."""

    by: str
    condition: str
    where: str
    line: int


class Kconfig:
    """The options of a kernel tree for one architecture.

    Args:
        tree: The kernel source tree.
        srcarch: The name of its folder in `arch/`: x86, arm64.
    """

    def __init__(self, tree: Path, srcarch: str) -> None:
        self.options: dict[str, list[Definition]] = defaultdict(list)
        self.selects: dict[str, list[Select]] = defaultdict(list)
        _Parser(self, tree, {"SRCARCH": srcarch, "ARCH": srcarch}).file("Kconfig", [])

    def type_of(self, name: str) -> str:
        """The option's type; empty when the tree has no such option."""
        return next((entry.type for entry in self.options.get(name, []) if entry.type), "")

    def has_prompt(self, name: str) -> bool:
        """Whether a config can set the option, rather than only other options."""
        return any(entry.prompt for entry in self.options.get(name, []))

    def choice_of(self, name: str) -> Choice | None:
        """The choice that the option is a member of."""
        return next((entry.choice for entry in self.options.get(name, []) if entry.choice), None)

    def explain(self, name: str, asked: str, values: Mapping[str, str]) -> str:
        """Why an option cannot have the value `asked` in a config with the result `values`; may be empty.

        Args:
            name: The option, without `CONFIG_`.
            asked: The value that was asked for.
            values: The resulting config's values by option name; what is off is absent or `n`.
        """
        entries = self.options.get(name)
        if not entries:
            near = difflib.get_close_matches(name, self.options, n=1, cutoff=0.75)
            return "this kernel has no such option" + (f"; is it CONFIG_{near[0]}?" if near else "")
        kind = self.type_of(name)
        if (kind in ("bool", "tristate")) != (asked in _LEVEL):
            return f"its type is {kind} [{_place(entries[0])}]"
        if asked == "m" and kind == "bool":
            return f"it cannot be a module, only y or n [{_place(entries[0])}]"
        if asked not in _LEVEL:
            return self._unmet(entries, "y", values)
        if _LEVEL[asked] < _LEVEL.get(values.get(name, "n"), 0):
            return self._forced(name, asked, values)
        chosen = self._chosen_instead(name, values)
        return self._unmet(entries, asked, values) or chosen

    def _unmet(self, entries: Sequence[Definition], asked: str, values: Mapping[str, str]) -> str:
        prompted = [entry for entry in entries if entry.prompt]
        if not prompted:
            return f"it has no prompt: only other options set it [{_place(entries[0])}]"
        reasons = []
        for entry in prompted:
            unmet = [
                f"{annotate(part, values)} [{condition.where}:{condition.line}]"
                for condition in entry.conditions
                for part in conjuncts(condition.text)
                if evaluate(part, values) < _LEVEL[asked]
            ]
            if not unmet:
                return ""
            reasons.append(", ".join(dict.fromkeys(unmet)))
        return "needs " + "; or ".join(dict.fromkeys(reasons))

    def _forced(self, name: str, asked: str, values: Mapping[str, str]) -> str:
        active = [
            f"CONFIG_{select.by} [{select.where}:{select.line}]"
            for select in self.selects.get(name, [])
            if min(_LEVEL.get(values.get(select.by, "n"), 0), evaluate(select.condition, values)) > _LEVEL[asked]
        ]
        if active:
            return "selected by " + ", ".join(dict.fromkeys(active))
        if not self.has_prompt(name):
            return f"it has no prompt: only other options set it [{_place(self.options[name][0])}]"
        return ""

    def _chosen_instead(self, name: str, values: Mapping[str, str]) -> str:
        choice = self.choice_of(name)
        other = next((m for m in choice.members if m != name and values.get(m) == "y"), "") if choice else ""
        return f"the choice is CONFIG_{other} [{_place(choice)}]" if choice and other else ""


def _place(thing: Definition | Choice) -> str:
    return f"{thing.where}:{thing.line}"


class _Parser:
    """Reads one tree's Kconfig files into a `Kconfig`."""

    def __init__(self, into: Kconfig, tree: Path, variables: Mapping[str, str]) -> None:
        self.into = into
        self.tree = tree
        self.variables = variables

    def file(self, name: str, around: list[Condition]) -> None:
        """Read a file whose `source` line stands within the conditions `around`."""
        try:
            text = (self.tree / name).read_text(errors="replace")
        except OSError:
            return
        _FileParser(self, name, around).read(text)

    def source(self, pattern: str, around: list[Condition]) -> None:
        """Read what a `source "PATTERN"` line names."""
        named = re.sub(r"\$\((\w+)\)|\$(\w+)", lambda m: self.variables.get(m[1] or m[2], ""), pattern)
        if any(mark in named for mark in "*?["):
            for path in sorted(self.tree.glob(named)):
                self.file(str(path.relative_to(self.tree)), around)
        else:
            self.file(named, around)


@dataclass(kw_only=True)
class _Block:
    """An open `menu`, `if` or `choice`: its own conditions, and its choice."""

    conditions: list[Condition]
    choice: Choice | None = None


class _FileParser:
    def __init__(self, parser: _Parser, name: str, around: list[Condition]) -> None:
        self.parser = parser
        self.name = name
        self.blocks = [_Block(conditions=around)]
        self.entry: Definition | None = None
        self.option = ""
        # Where `depends on` goes: the entry, menu or choice that was opened last; a comment's goes nowhere.
        self.conditions: list[Condition] = []

    def around(self) -> list[Condition]:
        return [condition for block in self.blocks for condition in block.conditions]

    def condition(self, text: str, line: int) -> Condition:
        return Condition(text=text.strip(), where=self.name, line=line)

    def read(self, text: str) -> None:
        for number, line in _logical_lines(text):
            word, _, rest = line.partition(" ")
            rest = rest.strip()
            if word in ("config", "menuconfig"):
                self.start_entry(rest, number)
            elif word in ("menu", "choice", "if"):
                self.start_block(word, rest, number)
            elif word in ("endmenu", "endchoice", "endif"):
                if len(self.blocks) > 1:
                    self.blocks.pop()
                self.entry, self.conditions = None, []
            elif word in ("source", "rsource", "osource", "orsource"):
                self.entry, self.conditions = None, []
                folder = f"{Path(self.name).parent}/" if word in ("rsource", "orsource") else ""
                self.parser.source(folder + rest.strip("\"'"), self.around())
            elif word == "comment":
                self.entry, self.conditions = None, []
            elif word == "depends":
                self.conditions.append(self.condition(rest.removeprefix("on "), number))
            elif self.entry is not None:
                self.attribute(self.entry, word, rest, number)

    def start_entry(self, name: str, line: int) -> None:
        choice = next((block.choice for block in reversed(self.blocks) if block.choice), None)
        self.option = name
        self.conditions = self.around()
        self.entry = Definition(where=self.name, line=line, conditions=self.conditions, choice=choice)
        self.parser.into.options[name].append(self.entry)
        if choice:
            choice.members.append(name)

    def start_block(self, word: str, rest: str, line: int) -> None:
        block = _Block(conditions=[self.condition(rest, line)] if word == "if" else [])
        if word == "choice":
            block.choice = Choice(where=self.name, line=line)
        self.blocks.append(block)
        self.entry = None
        self.conditions = block.conditions

    def attribute(self, entry: Definition, word: str, rest: str, line: int) -> None:
        if word in _TYPES or word == "prompt":
            entry.type = entry.type or ("" if word == "prompt" else word)
            prompt = re.match(r"(\"(?:[^\"\\]|\\.)*\"|'[^']*')\s*(?:if (.+))?$", rest)
            if prompt:
                entry.prompt = True
                if prompt[2]:
                    entry.conditions.append(self.condition(prompt[2], line))
        elif word in ("def_bool", "def_tristate"):
            entry.type = entry.type or word.removeprefix("def_")
        elif word == "select":
            target, _, condition = rest.partition(" if ")
            select = Select(by=self.option, condition=condition.strip() or "y", where=self.name, line=line)
            self.parser.into.selects[target.strip()].append(select)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that matter, with their numbers: no comments, no help texts, continued lines joined."""
    lines = iter(enumerate(text.expandtabs().splitlines(), 1))
    help_indent = -1  # -1: not in a help text, 0: its first line is still to come
    for number, raw in lines:
        line = raw.strip()
        if not line:
            continue
        indent = len(raw) - len(raw.lstrip())
        if help_indent == 0:
            help_indent = indent or -1
        if help_indent > 0:
            if indent >= help_indent:
                continue
            help_indent = -1
        while line.endswith("\\"):
            line = line[:-1].rstrip() + " " + next(lines, (0, ""))[1].strip()
        line = re.sub(r"\s#.*", "", line) if '"' not in line else line
        if line in ("help", "---help---"):
            help_indent = 0
        elif not line.startswith("#"):
            yield number, re.sub(r"\s+", " ", line)


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


def _joined(words: Sequence[str]) -> str:
    text = " ".join(words)
    return re.sub(r"(?<=[(!]) | (?=\))", "", re.sub(r"\s*(!?=)\s*", r"\1", text).replace("! ", "!"))


def annotate(text: str, values: Mapping[str, str]) -> str:
    """An expression with each option's value behind it: `INET (n) && NET (y)`."""
    return _joined([f"{word} ({values.get(word, 'n')})" if _is_option(word) else word for word in tokens(text)])


def _is_option(word: str) -> bool:
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
        return _LEVEL.get(self.text_of(left), 0)

    def text_of(self, word: str) -> str:
        return self.values.get(word, "n").strip('"') if _is_option(word) else word.strip("\"'")


def _compare(left: str, operator: str, right: str) -> bool:
    if operator in ("=", "!="):
        return (left == right) == (operator == "=")
    try:
        a, b = int(left, 0), int(right, 0)
    except ValueError:
        return False
    return {"<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b}[operator]
