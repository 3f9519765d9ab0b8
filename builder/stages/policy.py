"""Policies: what a config must and must not set, each rule with its reason, checked right after the config is resolved.

The host reads the policy files (`builder.config.policies`) and hands them on as `config/policies.json`: a list of
policies, each with `name` and `rules`, see `Rule`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.stages.common import StageError
from builder.stages.dotconfig import value_of
from builder.stages.kexpr import LEVEL, to_number
from builder.stages.patchlimits import parse_limits

FILE = "config/policies.json"


@dataclass(frozen=True)
class Rule:
    """One rule of a policy.

    Attributes:
        options: Without `CONFIG_`. One of them, where there are several, has to do.
        values: Those that it may have (`y`, `m`, `n`, a number, a text without quotes); with `forbids` may not have.
        forbids: See `values`.
        required: A config that breaks it is refused; else it is a recommendation.
        reason: Why, one line.
        kernel: Limits of the kernel versions that it is for, as of `builder.stages.patchlimits`; may be empty.
        where, line: Where it stands.
    """

    options: tuple[str, ...]
    values: tuple[str, ...]
    forbids: bool
    required: bool
    reason: str
    kernel: str
    where: str
    line: int

    def is_kept(self, values: Mapping[str, str]) -> bool:
        """Whether a config keeps it."""
        return any(self._names(value_of(values, name)) != self.forbids for name in self.options)

    def _names(self, got: str) -> bool:
        """Whether a value is one of its own; a number however it is written."""
        number = to_number(got)
        return got.strip('"') in self.values or (number is not None and number in map(to_number, self.values))

    def misfit(self, type_of: Callable[[str], str]) -> tuple[str, str] | None:
        """A value that an option of it can never have, and what to write; a rule with one would say nothing.

        Args:
            type_of: Of an option: its type; empty where the kernel has none of the name.
        """
        for name in self.options:
            kind = type_of(name)
            for value in self.values:
                what = f"{value!r} is no value of CONFIG_{name}: its type is {kind}"
                if kind in ("bool", "tristate") and value not in LEVEL:
                    return what, "write y, m or n"
                if kind in ("int", "hex") and to_number(value) is None:
                    return what, "write a number"
        return None

    def applies(self, version: str) -> bool:
        """Whether it is meant for a kernel version."""
        return not self.kernel or parse_limits(self.kernel, self.where, self.line, "kernel").admit(version)

    @property
    def wish(self) -> str:
        """`CONFIG_A must be y or m`."""
        names = " or ".join(f"CONFIG_{name}" for name in self.options)
        verb = ("must" if self.required else "should") + (" not" if self.forbids else "")
        return f"{names} {verb} be {' or '.join(value or 'empty' for value in self.values)}"

    def describe(self, values: Mapping[str, str]) -> str:
        """One line: what the config has, what the rule wants and why."""
        got = ", ".join(f"CONFIG_{name} is {value_of(values, name)}" for name in self.options)
        wish = self.wish if len(self.options) > 1 else self.wish.partition(" ")[2]
        return f"{got}, {'' if len(self.options) > 1 else 'it '}{wish}: {self.reason}"


@dataclass(frozen=True)
class Broken:
    """A rule that a config breaks, and the policy that it is of."""

    policy: str
    rule: Rule


def check(policies: Iterable[Mapping[str, Any]], values: Mapping[str, str], version: str) -> Iterator[Broken]:
    """The rules that a config breaks.

    Args:
        policies: As in the file.
        values: The config's values by option name.
        version: The kernel version.
    """
    for policy in policies:
        for rule in rules_of(policy):
            if rule.applies(version) and not rule.is_kept(values):
                yield Broken(policy=policy["name"], rule=rule)


def rules_of(policy: Mapping[str, Any]) -> list[Rule]:
    """The rules of a policy of the file."""
    return [
        Rule(**{**rule, "options": tuple(rule["options"]), "values": tuple(rule["values"])}) for rule in policy["rules"]
    ]


def enforce(
    file: Path,
    values: Mapping[str, str],
    version: str,
    explain: Callable[[str, str], str],
    type_of: Callable[[str], str],
) -> list[dict[str, Any]]:
    """Check the policies of a project; returns for its report how each was kept.

    Args:
        file: The policies; none when it is not there.
        explain: Of option and value: why the option does not have it; may be empty.
        type_of: As of `Rule.misfit`.

    Raises:
        StageError: A required rule is broken, or a rule has a value that its option cannot have.
    """
    policies = json.loads(file.read_text()) if file.is_file() else []
    for rule in (rule for policy in policies for rule in rules_of(policy)):
        if rule.applies(version) and (misfit := rule.misfit(type_of)):
            raise StageError(misfit[0], hint=misfit[1], where=rule.where, line=rule.line)
    broken = list(check(policies, values, version))
    refused = [each for each in broken if each.rule.required]
    if refused:
        lines = {each: f"{each.rule.describe(values)}{_cause(each.rule, explain)}" for each in refused}
        first = refused[0].rule
        count = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        raise StageError(
            f"the config breaks the policy {refused[0].policy}: {lines[refused[0]]}{count}",
            hint="set what the policy wants, or take the rule or the policy out",
            where=first.where,
            line=first.line,
            details=[f"{each.rule.where}:{each.rule.line}: {line}" for each, line in lines.items()] if count else [],
        )
    return [
        {
            "name": policy["name"],
            "rules": len(policy["rules"]),
            "not_met": [each.rule.describe(values) for each in broken if each.policy == policy["name"]],
        }
        for policy in policies
    ]


def _cause(rule: Rule, explain: Callable[[str, str], str]) -> str:
    """Why the one option of a rule has another value, where Kconfig gives a reason."""
    if rule.forbids or len(rule.options) > 1 or not rule.values:
        return ""
    reason = explain(rule.options[0], rule.values[0])
    return f" ({reason})" if reason else ""
