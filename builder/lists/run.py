"""`rosk lists check`, `fix` and `why` from start to end."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console

from builder.errors import InputError
from builder.lists import render
from builder.lists.check import Unlisted, check, static_findings, unlisted
from builder.lists.files import find_files
from builder.lists.fix import Change, apply, without_duplicates
from builder.lists.learn import ListOptions, learn, policy_of
from builder.lists.model import CORE, EXTRA, LEFT, Finding, Kernel, Policy, Texts, read_texts
from builder.lists.why import explain
from builder.project import load_project
from builder.stages.lists import FIRMWARE, parse_list
from builder.stages.split import MAIN_LIST, absent, place
from builder.verify.model import count

_ADD = "add each to modules.list (kernel package) or modules-extra.list (extras package)"


def run_check(options: ListOptions, *, strict: bool = False) -> None:
    """Print what is wrong with the lists.

    Args:
        strict: Warnings count as errors.

    Raises:
        InputError: There are errors.
        RoskError: What the kernel makes cannot be told; see `builder.lists.source`.
    """
    files = find_files(options.root, options.arch, options.flavour)
    texts = files.read()
    # A project with lists that are wrong in themselves is none, and nothing is asked of the engine for it.
    kernel, policy, findings = None, Policy(), static_findings(texts)
    if not findings:
        project = load_project(options.root, kernel=options.kernel, arch=options.arch, flavour=options.flavour)
        kernel, policy = learn(project, options), policy_of(project)
        findings = check(texts, kernel, policy)
    findings = [files.rename_finding(finding) for finding in findings]
    findings = [finding.made_strict() for finding in findings] if strict else findings
    if options.as_json:
        print(json.dumps(render.check_json(kernel, findings), indent=1))
    else:
        render.print_check(_console(), kernel, findings, texts)
    if errors := [finding for finding in findings if finding.error]:
        raise _error(errors, policy, complete=kernel is not None)


def _error(errors: Sequence[Finding], policy: Policy, *, complete: bool) -> InputError:
    kinds = {finding.kind for finding in errors}
    new = [policy.destination(finding.path)[0] for finding in errors if finding.kind == "unlisted"]
    hint = _ADD if new and set(new) == {LEFT} else "mend the lists"
    if "moved" in kinds or set(new) - {LEFT}:
        hint = "`rosk lists fix` adds what no list names"
    if not complete:
        hint = "mend these first: what the kernel makes of the lists was not looked at"
        if "duplicate" in kinds:
            hint += "; `rosk lists fix --remove-duplicates` removes lines that are there twice"
    details = [render.line(finding, hint=True) for finding in errors]
    return InputError(f"{count(len(errors), 'error')} in the lists", hint=hint, details=details)


def run_fix(
    options: ListOptions, *, dry_run: bool = False, remove_duplicates: bool = False, replace_moved: bool = False
) -> None:
    """Add to the lists what none of them names, and print the unified diff of that.

    Args:
        dry_run: Write nothing.
        remove_duplicates: Remove lines that name again what an earlier one of the same list names.
        replace_moved: Write the new path of a module that moved in its line, not below it.

    Raises:
        InputError: The lists have other errors; or a rule of the settings leaves modules to the user: the lines of all
            others are written then.
        RoskError: What the kernel makes cannot be told; see `builder.lists.source`.
    """
    files = find_files(options.root, options.arch, options.flavour)
    before = texts = files.read()
    if remove_duplicates:
        texts = read_texts(without_duplicates(before.main), without_duplicates(before.extra))
    if texts.problems:
        raise _error([files.rename_finding(finding) for finding in static_findings(texts)], Policy(), complete=False)
    # A project is loaded only with lists that are right in themselves.
    if not dry_run:
        files.write(before, texts)
    complete = not (before.problems and dry_run)
    after, left, unsure = texts, list[Unlisted](), list[Unlisted]()
    if complete:
        project = load_project(options.root, kernel=options.kernel, arch=options.arch, flavour=options.flavour)
        kernel, policy = learn(project, options), policy_of(project)
        after, left = fixed(texts, kernel, policy, replace_moved=replace_moved)
        unsure = unsure_of(after, kernel, policy)
    if not dry_run:
        files.write(texts, after)
    if options.as_json:
        print(json.dumps(render.fix_json(files, before, after, left, unsure, complete=complete), indent=1))
    else:
        print(render.diff(files, before, after) or "nothing to add\n", end="")
    if not complete:
        _note("what there is to add can be told once the duplicates are removed")
    if unsure:
        _note(f"{count(len(unsure), 'module')} left out that may come along with listed ones: the first compile tells")
    if left:
        raise InputError(
            f"the settings leave {count(len(left), 'module')} to you",
            hint=_ADD,
            details=[f"{item.path} ({item.why})" for item in left],
        )


def fixed(texts: Texts, kernel: Kernel, policy: Policy, *, replace_moved: bool) -> tuple[Texts, list[Unlisted]]:
    """The lists with all that none of them names; and the modules that a rule leaves to the user."""
    placed = place(kernel.built, texts.lists, softdeps=policy.softdeps)
    # What may come along with others is added once its first compile tells that it does not.
    missing = [item for item in unlisted(texts.lists, kernel, policy, placed) if item.moved or not item.maybe]
    changes: dict[str, list[Change]] = {CORE: [], EXTRA: [], LEFT: []}
    for item in missing:
        old = item.moved.path if item.moved else None
        changes[item.to].append(Change(path=item.path, moved_from=old, replace=replace_moved))
    if replace_moved:
        # Those that come along with others have no line of their own yet.
        done = {item.path for item in missing} | {entry.path for entry in (*texts.lists.main, *texts.lists.extra)}
        for found in absent(kernel.built, texts.lists, kernel.known):
            if found.moved_to is not None and found.moved_to not in done:
                to = CORE if found.entry.where == MAIN_LIST else EXTRA
                changes[to].append(Change(path=found.moved_to, moved_from=found.entry.path, replace=True))
    after = read_texts(apply(texts.main, changes[CORE]), apply(texts.extra, changes[EXTRA]))
    rest = place(kernel.built, after.lists, softdeps=policy.softdeps).rest
    return after, [item for item in missing if item.path in rest and not item.maybe]


def unsure_of(texts: Texts, kernel: Kernel, policy: Policy) -> list[Unlisted]:
    """The modules that no list names and that may come along with listed ones."""
    placed = place(kernel.built, texts.lists, softdeps=policy.softdeps)
    return [item for item in unlisted(texts.lists, kernel, policy, placed) if item.maybe]


def run_why(module: str, options: ListOptions) -> None:
    """Print why a module is where it is.

    Raises:
        InputError: Neither the kernel nor a list knows it, or a list is wrong.
        RoskError: What the kernel makes cannot be told; see `builder.lists.source`.
    """
    project = load_project(options.root, kernel=options.kernel, arch=options.arch, flavour=options.flavour)
    files = find_files(options.root, options.arch, options.flavour)
    kernel = learn(project, options)
    firmware = [
        entry
        for name in ("lists/firmware.list", "lists/firmware-extra.list")
        if name in project.inputs
        for entry in parse_list(project.inputs[name].read_bytes(), str(project.origin(name)), FIRMWARE)
    ]
    found = explain(module, kernel, files.read().lists, policy_of(project), firmware)
    if options.as_json:
        print(json.dumps(render.why_json(files, kernel, found), indent=1))
    else:
        render.print_why(_console(), files, kernel, found)


def _note(text: str) -> None:
    Console(stderr=True, highlight=False, emoji=False, soft_wrap=True).print(text)


def _console() -> Console:
    return Console(highlight=False, emoji=False, soft_wrap=True)
