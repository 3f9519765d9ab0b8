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

from builder.stages.kexpr import LEVEL, annotate, conjuncts, evaluate, to_number

_TYPES = ("bool", "tristate", "string", "int", "hex")


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


@dataclass(frozen=True, kw_only=True)
class Range:
    """The limits of a number: numbers themselves, or options with the number."""

    low: str
    high: str
    condition: str
    where: str
    line: int


@dataclass(kw_only=True)
class Definition:
    """One `config` entry of an option (an option can have several), with the conditions around it."""

    where: str
    line: int
    conditions: list[Condition]
    choice: Choice | None = None
    type: str = ""
    prompt: bool = False
    defaults: list[str] = field(default_factory=list)  # as one expression each, with its condition
    ranges: list[Range] = field(default_factory=list)


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
        self.implies: dict[str, set[str]] = defaultdict(set)  # option → those that it proposes
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
            near = difflib.get_close_matches(name, self.options, n=1, cutoff=0.7)
            return "this kernel has no such option" + (f"; is it CONFIG_{near[0]}?" if near else "")
        kind, place = self.type_of(name), _place(entries[0])
        if misfit := _misfit(kind, asked):
            return f"{misfit} [{place}]"
        lowered = asked in LEVEL and LEVEL[asked] < LEVEL.get(values.get(name, "n"), 0)
        if lowered and (selecting := self._selecting(name, asked, values)):
            return f"selected by {selecting}"
        if not self.has_prompt(name):
            return f"it has no prompt: only other options set it [{place}]"
        if lowered or asked not in LEVEL:
            hidden = _unmet(entries, LEVEL["m"], values)
            return f"it can only be set with {hidden}" if hidden else _out_of_range(entries, asked, values)
        unmet = _unmet(entries, LEVEL[asked], values)
        return f"needs {unmet}" if unmet else self._chosen_instead(name, values)

    def _selecting(self, name: str, asked: str, values: Mapping[str, str]) -> str:
        """The options that keep `name` above the level `asked`."""
        active = [
            f"CONFIG_{select.by} [{select.where}:{select.line}]"
            for select in self.selects.get(name, [])
            if min(LEVEL.get(values.get(select.by, "n"), 0), evaluate(select.condition, values)) > LEVEL[asked]
        ]
        return ", ".join(dict.fromkeys(active))

    def _chosen_instead(self, name: str, values: Mapping[str, str]) -> str:
        choice = self.choice_of(name)
        other = next((m for m in choice.members if m != name and values.get(m) == "y"), "") if choice else ""
        return f"the choice is CONFIG_{other} [{_place(choice)}]" if choice and other else ""


def _misfit(kind: str, asked: str) -> str:
    if (kind in ("bool", "tristate")) != (asked in LEVEL):
        return f"its type is {kind}"
    return "it cannot be a module, only y or n" if (kind, asked) == ("bool", "m") else ""


def _unmet(entries: Sequence[Definition], level: int, values: Mapping[str, str]) -> str:
    """What keeps an option below a level; empty when one of its entries allows it."""
    reasons = []
    for entry in entries:
        unmet = [
            f"{annotate(part, values)} [{condition.where}:{condition.line}]"
            for condition in entry.conditions
            for part in conjuncts(condition.text)
            if evaluate(part, values) < level
        ]
        if entry.prompt and not unmet:
            return ""
        if entry.prompt:
            reasons.append(", ".join(dict.fromkeys(unmet)))
    return "; or ".join(dict.fromkeys(reasons))


def _out_of_range(entries: Sequence[Definition], asked: str, values: Mapping[str, str]) -> str:
    value = to_number(asked)
    for limits in (limits for entry in entries for limits in entry.ranges):
        low, high = (to_number(values.get(word, word)) for word in (limits.low, limits.high))
        inside = value is None or low is None or high is None or low <= value <= high
        if not inside and evaluate(limits.condition, values):
            return f"its range is {low}..{high} [{limits.where}:{limits.line}]"
    return ""


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
            entry.defaults.append(_default(rest))
        elif word == "default":
            entry.defaults.append(_default(rest))
        elif word == "range":
            limits, _, condition = rest.partition(" if ")
            low, _, high = limits.strip().partition(" ")
            entry.ranges.append(
                Range(low=low, high=high.strip(), condition=condition or "y", where=self.name, line=line)
            )
        elif word == "imply":
            self.parser.into.implies[self.option].add(rest.partition(" if ")[0].strip())
        elif word == "select":
            target, _, condition = rest.partition(" if ")
            select = Select(by=self.option, condition=condition.strip() or "y", where=self.name, line=line)
            self.parser.into.selects[target.strip()].append(select)


def _default(rest: str) -> str:
    value, _, condition = rest.partition(" if ")
    return f"{value.strip()} && ({condition.strip()})" if condition else value.strip()


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
        line = re.sub(r"\s#.*", "", line) if "#" in line and '"' not in line else line
        if line in ("help", "---help---"):
            help_indent = 0
        elif not line.startswith("#"):
            yield number, " ".join(line.split())
