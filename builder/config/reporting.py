"""`rosk config policy`: each rule of policies, kept or not; and the hardening report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from builder.config.ask import ConfigOptions, ask, console
from builder.config.hardening import Advice, advise, find_program
from builder.config.model import Answer
from builder.config.policy import HARDENING, Policy, check_values, is_idle, load_policies, unknown_names, unknown_note
from builder.errors import InputError
from builder.stages.policy import Rule
from builder.verify.model import count


def run_policy(names: Sequence[str], options: ConfigOptions, *, strict: bool = False, every: bool = False) -> None:
    """Print which rules the project's config keeps.

    Args:
        names: Built-in names, files relative to the project's folder, or `hardening`; none: those of the settings.
        strict: Recommendations count as required, those of the hardening report too.
        every: Print also what is kept.

    Raises:
        InputError: A required rule is broken; or a policy, or the hardening checker, is not there.
        RoskError: The engine or the source cannot be had.
    """
    project = options.project()
    wanted = list(names) or [policy.name for policy in project.policies]
    if not wanted:
        raise InputError(
            "the settings name no policy", hint="name one: docker, containerd, hardening, or a file of the project"
        )
    policies = load_policies([name for name in wanted if name != HARDENING], project.root)
    if HARDENING in wanted:
        find_program()  # before the engine is asked
    answer = ask(project, options.asking)
    check_values(policies, answer.facts)
    advice = advise(answer.config.text) if HARDENING in wanted else ()
    if options.as_json:
        print(json.dumps(as_json(policies, answer, advice), indent=1))
    else:
        for policy in policies:
            _print(policy, answer, every=every)
        if advice:
            _print_advice(advice, every=every)
    lines = [
        f"{rule.where}:{rule.line}: {rule.describe(answer.config.values)}"
        for policy in policies
        for rule in _broken(policy, answer)
        if rule.required or strict
    ]
    if strict:
        lines += [_advice_line(each) for each in advice if not each.ok]
    if lines:
        raise InputError(
            f"{count(len(lines), 'rule')} broken", hint="`rosk config set` sets an option and proves it", details=lines
        )


def _broken(policy: Policy, answer: Answer) -> list[Rule]:
    return [rule for rule in policy.meant(answer.facts.version) if not rule.is_kept(answer.config.values)]


def as_json(policies: Sequence[Policy], answer: Answer, advice: Sequence[Advice]) -> dict[str, Any]:
    """Each rule and what the config has, for programs."""
    told: dict[str, Any] = {
        "version": answer.facts.version,
        "policies": [
            {
                "name": policy.name,
                "title": policy.title,
                "rules": [
                    {
                        "options": {name: answer.config.value(name) for name in rule.options},
                        "wish": rule.wish,
                        "required": rule.required,
                        "kept": rule.is_kept(answer.config.values),
                        "unknown": unknown_names(rule, answer.facts),
                        "reason": rule.reason,
                        "where": rule.where,
                        "line": rule.line,
                    }
                    for rule in policy.meant(answer.facts.version)
                ],
            }
            for policy in policies
        ],
    }
    if advice:
        told[HARDENING] = [
            {
                "option": each.option,
                "wanted": each.wanted,
                "by": each.by,
                "why": each.why,
                "ok": each.ok,
                "result": each.result,
            }
            for each in advice
        ]
    return told


def _print(policy: Policy, answer: Answer, *, every: bool) -> None:
    out = console()
    rules, broken = policy.meant(answer.facts.version), _broken(policy, answer)
    required = sum(rule.required for rule in broken)
    out.print(
        f"{policy.title}: {len(rules) - len(broken)} of {count(len(rules), 'rule')} kept, {required} broken, "
        f"{count(len(broken) - required, 'recommendation')} not followed",
        markup=False,
        style="bold",
    )
    for rule in rules:
        kept = rule.is_kept(answer.config.values)
        idle = is_idle(rule, answer.facts)
        if kept and (every or idle):
            held = ", ".join(f"CONFIG_{name}={answer.config.value(name)}" for name in rule.options)
            out.print(f"  kept    {held}: {rule.reason}", markup=False)
        elif not kept:
            word = "BROKEN" if rule.required else "advice"
            out.print(f"  {word}  {rule.describe(answer.config.values)}", markup=False)
        if (not kept or idle) and (note := unknown_note(rule, answer.facts)):
            out.print(f"          {note}", markup=False)


def _print_advice(advice: Sequence[Advice], *, every: bool) -> None:
    out = console()
    good = sum(each.ok for each in advice)
    out.print(
        f"kernel-hardening-checker: {good} of {count(len(advice), 'recommendation')} followed",
        markup=False,
        style="bold",
    )
    for each in advice:
        if every or not each.ok:
            out.print(f"  {'kept  ' if each.ok else 'advice'}  {_advice_line(each)}", markup=False)


def _advice_line(each: Advice) -> str:
    wish = "off" if each.wanted == "is not set" else each.wanted
    return f"{each.option} should be {wish}: {each.result} ({each.why}, {each.by})"
