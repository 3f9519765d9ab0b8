"""`rosk config check`: what a build would say of a project's config, and of its policies, before any compile."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from builder.config.ask import ConfigOptions, ask, console, shown
from builder.config.model import Answer, Dropped
from builder.config.policy import Policy, check_values, is_idle, unknown_note
from builder.errors import InputError
from builder.project import Project
from builder.stages.policy import Broken, check
from builder.verify.model import count


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a check found.

    Attributes:
        strict: An option of a full config that was dropped is an error too.
        broken: The rules that the config breaks, required ones and recommendations.
    """

    project: Project
    answer: Answer
    strict: bool
    broken: tuple[Broken, ...]

    def is_error(self, dropped: Dropped) -> bool:
        return dropped.refused or self.strict

    @property
    def errors(self) -> list[str]:
        """What stops a build, a line each."""
        dropped = [self.line(each) for each in self.answer.config.dropped if self.is_error(each)]
        stops = [self.stop_line(each) for each in self.answer.config.stops]
        return [*dropped, *stops, *(rule_line(each, self.answer) for each in self.broken if each.rule.required)]

    @property
    def refused(self) -> list[str]:
        """The options that a build stops for, of lines and of policies."""
        dropped = [each.name for each in self.answer.config.dropped if self.is_error(each)]
        return dropped + [name for each in self.broken if each.rule.required for name in each.rule.options]

    def stop_line(self, stop: Mapping[str, Any]) -> str:
        """What else a build stops for, with its place."""
        place = f"{shown(self.project, stop['where'])}:" if stop["where"] else ""
        line = f"{stop['line']}:" if stop["line"] else ""
        return f"{place}{line}{' ' if place else ''}{stop['what']}; {stop['hint']}"

    def line(self, dropped: Dropped) -> str:
        """A dropped option with its place."""
        first = f"; set first {dropped.remedy()}" if dropped.first else ""
        if dropped.packages:
            first = f"; toolchain.packages: [{', '.join(dropped.packages)}] in the settings brings it"
        return f"{shown(self.project, dropped.where)}:{dropped.line}: {dropped.describe()}{first}"


def rule_line(broken: Broken, answer: Answer) -> str:
    """A rule that was broken, with its place."""
    rule = broken.rule
    note = unknown_note(rule, answer.facts)
    more = f" ({note})" if note else ""
    return f"{rule.where}:{rule.line}: {rule.describe(answer.config.values)}{more}"


def broken_rules(policies: Sequence[Policy], answer: Answer) -> tuple[Broken, ...]:
    """The rules of policies that a config breaks.

    Raises:
        InputError: A rule has a value that its option can never have.
    """
    check_values(policies, answer.facts)
    found = check([policy.as_json() for policy in policies], answer.config.values, answer.facts.version)
    return tuple(found)


def checked(project: Project, answer: Answer, *, strict: bool = False) -> Checked:
    """What is wrong with what a project's config comes to."""
    broken = broken_rules(project.policies, answer)
    return Checked(project=project, answer=answer, strict=strict or project.config_strict, broken=broken)


def run_check(options: ConfigOptions, *, strict: bool = False) -> Checked:
    """Print what is wrong with the config.

    Args:
        strict: Warnings of dropped options are errors too.

    Raises:
        InputError: A build with this config stops.
        RoskError: The engine or the source cannot be had.
    """
    project = options.project()
    found = checked(project, ask(project, options.asking), strict=strict)
    if options.as_json:
        print(json.dumps(as_json(found), indent=1))
    else:
        _print(found)
    if errors := found.errors:
        hint = "give each what it needs, or take its line out; `rosk config set` does both"
        raise InputError(f"{count(len(errors), 'error')} in the config", hint=hint, details=errors)
    return found


def as_json(checked: Checked) -> dict[str, Any]:
    """What was found, for programs."""
    config, project = checked.answer.config, checked.project
    return {
        "version": checked.answer.facts.version,
        "form": config.form,
        "options": sum(value != "n" for value in config.values.values()),
        "modules": sum(value == "m" for value in config.values.values()),
        "asked": len(config.asked),
        "dropped": [
            {
                "name": each.name,
                "asked": each.asked,
                "got": each.got,
                "where": shown(project, each.where),
                "line": each.line,
                "reason": each.reason,
                "first": [f"{name}={value}" for name, value in each.first],
                "error": checked.is_error(each),
            }
            for each in config.dropped
        ],
        "stops": [{**each, "where": each["where"] and shown(project, each["where"])} for each in config.stops],
        "warnings": [{**each, "where": shown(project, str(each["where"]))} for each in config.warnings],
        "policies": [
            {
                "name": policy.name,
                "rules": len(policy.meant(checked.answer.facts.version)),
                "broken": [
                    {
                        "options": list(each.rule.options),
                        "required": each.rule.required,
                        "wish": each.rule.wish,
                        "reason": each.rule.reason,
                        "where": each.rule.where,
                        "line": each.rule.line,
                    }
                    for each in checked.broken
                    if each.policy == policy.name
                ],
                "idle": [
                    {"options": list(rule.options), "where": rule.where, "line": rule.line}
                    for rule in policy.meant(checked.answer.facts.version)
                    if is_idle(rule, checked.answer.facts)
                ],
            }
            for policy in project.policies
        ],
        "errors": len(checked.errors),
    }


def _print(checked: Checked) -> None:
    out = console()
    told = as_json(checked)
    out.print(
        f"Linux {told['version']} with {told['asked']} options asked for ({told['form']} form): {told['options']} on, "
        f"{told['modules']} of them modules",
        markup=False,
    )
    for each in checked.answer.config.dropped:
        if not checked.is_error(each):
            out.print(f"warning: {checked.line(each)}", markup=False)
    for warning in checked.answer.config.warnings:
        place = f"{shown(checked.project, str(warning['where']))}:{warning['line']}: " if warning["where"] else ""
        out.print(f"warning: {place}{warning['what']}", markup=False)
    for policy in checked.project.policies:
        facts = checked.answer.facts
        for rule in policy.meant(facts.version):
            if is_idle(rule, facts):
                out.print(f"warning: {rule.where}:{rule.line}: {unknown_note(rule, facts)}", markup=False)
        own = [each.rule for each in checked.broken if each.policy == policy.name]
        required = sum(rule.required for rule in own)
        rules = len(policy.meant(checked.answer.facts.version))
        kept = f"policy {policy.name}: {rules - len(own)} of {count(rules, 'rule')} kept"
        wishes = f", {count(len(own) - required, 'recommendation')} not" if len(own) > required else ""
        more = f"; `rosk config policy {policy.name}` lists them" if own else ""
        out.print(f"{kept}{f', {required} broken' if required else ''}{wishes}{more}", markup=False)
    if not checked.errors:
        out.print("every option comes out as asked" if not checked.answer.config.dropped else "a build takes it")
