"""Policy files: what a config must and must not set, line by line with its reason (form: docs/config.md).

Two ship with rosk, `docker` and `containerd`; a project has its own as YAML files. What is read here is checked in
`builder.stages.policy`, in a build right after the config is resolved.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from builder.config.model import Facts
from builder.errors import InputError
from builder.inputs.check import within
from builder.inputs.document import Document, Place, read_document
from builder.stages.common import StageError
from builder.stages.patchlimits import parse_limits
from builder.stages.policy import Rule

FOLDER = Path(__file__).resolve().parent / "policies"
HARDENING = "hardening"
"""The name of the report of kernel-hardening-checker, which is no policy of a build."""

_KEYS = ("option", "any_of", "must", "must_not", "should", "should_not", "reason", "kernel")
_VERDICTS = ("must", "must_not", "should", "should_not")
_NAME = re.compile(r"(?:CONFIG_)?(\w+)")
_BUILT_IN = re.compile(r"[a-z0-9-]+")
_YES, _NO = ("yes", "Yes", "YES", "on", "On", "ON", "true", "Y"), ("no", "No", "NO", "off", "Off", "OFF", "false", "N")
_MEANT = {**dict.fromkeys(_YES, "y"), **dict.fromkeys(_NO, "n"), "M": "m"}
"""What looks like a value of an option, to what it is."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A policy as it was read.

    Attributes:
        name: The built-in name, or the file as the settings name it.
        title: What it is about, one line.
    """

    name: str
    title: str
    rules: tuple[Rule, ...]

    def meant(self, version: str) -> list[Rule]:
        """The rules that are for this kernel version."""
        return [rule for rule in self.rules if rule.applies(version)]

    def as_json(self) -> dict[str, Any]:
        """As `builder.stages.policy` reads it."""
        return {"name": self.name, "title": self.title, "rules": [asdict(rule) for rule in self.rules]}


def built_in() -> list[str]:
    """The names of the policies that ship with rosk."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_policies(names: Sequence[str], root: Path) -> tuple[Policy, ...]:
    """The policies of these names, each once.

    Args:
        names: Built-in names, or files relative to `root`.

    Raises:
        InputError: There is none of a name, or a file is wrong; with the line.
    """
    return tuple(load_policy(name, root) for name in dict.fromkeys(names))


def unknown_names(rule: Rule, facts: Facts) -> list[str]:
    """The options of a rule that a kernel does not have."""
    return [name for name in rule.options if name not in facts.options]


def unknown_note(rule: Rule, facts: Facts) -> str:
    """The same in words; empty where it has them all."""
    names = [f"CONFIG_{name}" for name in unknown_names(rule, facts)]
    return f"Linux {facts.version} has no {', '.join(names)}" if names else ""


def is_idle(rule: Rule, facts: Facts) -> bool:
    """Whether a rule is kept only for there is no such option: its name may be wrong."""
    return len(unknown_names(rule, facts)) == len(rule.options) and rule.is_kept({})


def check_values(policies: Sequence[Policy], facts: Facts) -> None:
    """Refuse a rule with a value that its option can never have.

    Raises:
        InputError: There is one; with its line.
    """

    def type_of(name: str) -> str:
        return facts.options[name].type if name in facts.options else ""

    for rule in (rule for policy in policies for rule in policy.meant(facts.version)):
        if misfit := rule.misfit(type_of):
            raise InputError(misfit[0], hint=misfit[1], where=rule.where, line=rule.line)


def load_policy(name: str, root: Path) -> Policy:
    """See `load_policies`."""
    if _BUILT_IN.fullmatch(name):
        known = built_in()
        if name in known:
            return _read(FOLDER / f"{name}.yaml", name, f"policy {name}")
        if name == HARDENING:
            raise InputError(
                f"{HARDENING} is a report, not a policy of the settings",
                hint=f"see it with `rosk config policy {HARDENING}`",
            )
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"is it {near[0]}? " if near else ""
        raise InputError(
            f"there is no policy {name!r}",
            hint=f"{hint}rosk has {' and '.join(known)}; a file of the project is named by its path",
        )
    path = root / name
    return _read(path, name, str(within(path, root)))


def _read(path: Path, name: str, where: str) -> Policy:
    try:
        document = read_document(path, least="a list `rules:`, each with option, must and reason")
    except InputError as error:
        if not path.exists():
            raise InputError("there is no such policy file", where=where, hint="config.policies names it") from error
        raise
    try:
        rules = tuple(_rules(document, where))
    except InputError as error:
        error.where = where
        raise
    title = document.data.get("title", name)
    return Policy(name=name, title=str(title), rules=rules)


def _rules(document: Document, where: str) -> Iterator[Rule]:
    unknown = set(document.data) - {"title", "rules"}
    if unknown:
        key = sorted(unknown)[0]
        raise _wrong(document, (key,), f"unknown key {key}", "a policy has the keys title and rules")
    rules = document.data.get("rules")
    if not isinstance(rules, list) or not rules:
        raise _wrong(document, ("rules",), "there are no rules", "write a list of rules under the key rules")
    for number, rule in enumerate(rules):
        place = ("rules", number)
        if not isinstance(rule, dict):
            raise _wrong(document, place, "a rule is a mapping", "write `- option: NAME`, and its other keys below it")
        yield from _rule(document, place, rule, where)


def _rule(document: Document, place: Place, rule: Mapping[str, Any], where: str) -> Iterator[Rule]:
    """The rules that one entry stands for: one for each option of a list, or one for all of `any_of`."""
    for key in rule:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"a rule has the keys {', '.join(_KEYS)}"
            raise _wrong(document, (*place, key), f"unknown key {key}", hint)
    verdicts = [key for key in _VERDICTS if key in rule]
    if len(verdicts) != 1:
        raise _wrong(document, place, f"a rule has one of {', '.join(_VERDICTS)}", "write `must: y`, for example")
    if ("option" in rule) == ("any_of" in rule):
        raise _wrong(document, place, "a rule has either option or any_of", "write `option: NAME`")
    reason = rule.get("reason")
    if not isinstance(reason, str) or not reason.strip():
        raise _wrong(document, place, "the rule has no reason", "say in one line why, under the key reason")
    key, verdict = ("option" if "option" in rule else "any_of"), verdicts[0]
    options = _options(document, (*place, key), rule[key])
    shared: dict[str, Any] = {
        "values": _values(document, (*place, verdict), rule[verdict]),
        "forbids": verdict.endswith("_not"),
        "required": verdict.startswith("must"),
        "reason": " ".join(reason.split()),
        "kernel": _limits(document, (*place, "kernel"), rule.get("kernel", "")),
        "where": where,
        "line": document.line((*place, key)),
    }
    if key == "any_of":
        yield Rule(options=options, **shared)
    else:
        yield from (Rule(options=(name,), **shared) for name in options)


def _options(document: Document, place: Place, given: object) -> tuple[str, ...]:
    found = []
    for word in given if isinstance(given, list) else [given]:
        match = _NAME.fullmatch(word) if isinstance(word, str) else None
        if match is None:
            raise _wrong(document, place, f"{word!r} is not the name of an option", "write it as in a .config")
        found.append(match[1])
    if not found:
        raise _wrong(document, place, "the list of options is empty", "name one at least")
    return tuple(found)


def _values(document: Document, place: Place, given: object) -> tuple[str, ...]:
    given = given.split("|") if isinstance(given, str) else given
    words = [word for word in given if isinstance(word, str)] if isinstance(given, list) else []
    if not words or words != given:
        hint = "write y, m, n, a number or a text; several with | between them"
        raise _wrong(document, place, "it is not the value of an option", hint)
    words = [word.strip() for word in words]
    for word in words:
        if word in _MEANT:
            hint = f"write {_MEANT[word]}; a text that is so called has quotes of its own: '\"{word}\"'"
            raise _wrong(document, place, f"{word} is not the value of an option", hint)
    return tuple(word[1:-1] if len(word) > 1 and word[0] == word[-1] == '"' else word for word in words)


def _limits(document: Document, place: Place, given: object) -> str:
    if given == "":
        return ""
    try:
        return parse_limits(str(given), "", document.line(place), "kernel").text
    except StageError as error:
        raise _wrong(document, place, error.what, error.hint) from error


def _wrong(document: Document, place: Place, what: str, hint: str) -> InputError:
    return InputError(what, line=document.line(place), hint=hint)
