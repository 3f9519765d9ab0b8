"""`rosk firmware check` and `fix` from start to end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console

from builder.errors import InputError
from builder.firmware import render
from builder.firmware.check import Newer, check, missing, newer, shipped, static_findings
from builder.firmware.fold import fold
from builder.firmware.model import EXTRA_LIST, LIST_OF, MAIN_LIST, Known, Texts, read_texts
from builder.firmware.source import learn
from builder.firmware.upstream import read_upstream
from builder.inputs.check import as_input_error
from builder.lists.files import Files, find_files, read_text
from builder.lists.fix import Change, apply
from builder.lists.learn import ListOptions
from builder.lists.model import Finding
from builder.lists.render import diff, line
from builder.project import load_project
from builder.stages.lists import FIRMWARE
from builder.verify.model import count

_HEADING = "# Added by `rosk firmware fix`"


def run_check(options: ListOptions, *, strict: bool = False, upstream: str | None = None) -> None:
    """Print what is wrong with the firmware lists.

    Args:
        strict: Warnings count as errors.
        upstream: Where linux-firmware's own WHENCE is, to hold the lists against that as well.

    Raises:
        InputError: There are errors.
        FetchError: linux-firmware's WHENCE cannot be had.
        RoskError: What the kernel makes or the source offers cannot be told.
    """
    files = _find_files(options)
    texts = read_files(files)
    known, ships, findings = None, [], static_findings(texts)
    if not findings:
        project = load_project(options.root, kernel=options.kernel, arch=options.arch, flavour=options.flavour)
        there = read_upstream(upstream) if upstream else None
        known = learn(project, options)
        if there:
            known = replace(known, upstream=there, sources=(*known.sources, there.said))
        findings = check(texts, known, strict=project.settings.firmware.strict)
        ships = shipped(texts, known)
    findings = [finding.made_strict() for finding in findings] if strict else findings
    folded = [files.rename_finding(finding) for finding in (fold(known, findings) if known else findings)]
    findings = [files.rename_finding(finding) for finding in findings]
    if options.as_json:
        print(json.dumps(render.check_json(known, findings, ships), indent=1))
    else:
        console = Console(highlight=False, emoji=False, soft_wrap=True)
        render.print_check(console, known, findings, ships, folded=folded)
    if errors := sum(finding.error for finding in findings):
        raise _error(errors, [finding for finding in folded if finding.error], complete=known is not None)


def run_fix(options: ListOptions, *, dry_run: bool = False, take_newer: bool = False) -> None:
    """Add to the lists what modules ask for and the source has, and print the unified diff of that.

    Args:
        dry_run: Write nothing.
        take_newer: Write a newer version that a module takes over the older one that is listed.

    Raises:
        InputError: A line of a list is wrong; or nothing is known of the modules, or of the source.
        RoskError: What the kernel makes or the source offers cannot be told.
    """
    files = _find_files(options)
    texts = read_files(files)
    if texts.problems:
        found = [files.rename_finding(finding) for finding in static_findings(texts)]
        raise _error(len(found), found, complete=False)
    known = learn(
        load_project(options.root, kernel=options.kernel, arch=options.arch, flavour=options.flavour), options
    )
    if known.asked is None or (known.offer is None and not known.no_source):
        what = "what to add cannot be told: " + "; ".join(known.sources)
        raise InputError(what, hint="leave out --no-engine: the engine tells without a compile")
    replaced = [each for each in newer(texts, known) if each.asked_by] if take_newer else []
    after = fixed(texts, known, replaced)
    if not dry_run:
        files.write(texts, after)
    shown = diff(files, texts, after)
    if options.as_json:
        print(
            json.dumps(
                render.fix_json(texts, after, {each.entry.path: each.path for each in replaced}, shown), indent=1
            )
        )
    else:
        print(shown or "nothing to add\n", end="")


def fixed(texts: Texts, known: Known, replaced: Sequence[Newer] = ()) -> Texts:
    """The lists with all that modules ask for and the source has, and some newer versions in place of older ones."""
    changes: dict[str, list[Change]] = {MAIN_LIST: [], EXTRA_LIST: []}
    for newer_one in replaced:
        changes[newer_one.entry.where].append(
            Change(path=newer_one.path, moved_from=newer_one.entry.path, replace=True)
        )
    there = {newer_one.path for newer_one in replaced}
    for each in missing(texts, known):
        for path in each.files:
            if path not in there:
                there.add(path)
                changes[LIST_OF[each.package]].append(Change(path=path))
    main, extra = (apply(texts.of(name), changes[name], heading=_HEADING) for name in (MAIN_LIST, EXTRA_LIST))
    return read_texts(main, extra)


def _find_files(options: ListOptions) -> Files:
    """The firmware lists of a kernel, which a project need not have."""
    names = (MAIN_LIST, EXTRA_LIST)
    return find_files(options.root, options.arch, options.flavour, names=names, needed=False)


def read_files(files: Files) -> Texts:
    """The two lists; one that is not there is empty.

    Raises:
        InputError: One is no text, or cannot be read.
    """
    main, extra = (read_text(path, FIRMWARE) if path.exists() else "" for path in files.inputs.values())
    with as_input_error(files.inputs, files.root):
        return read_texts(main, extra)


def _error(number: int, errors: Sequence[Finding], *, complete: bool) -> InputError:
    hint = (
        "`rosk firmware fix` adds what modules ask for and the source has"
        if complete
        else ("mend these first: what the modules ask for was not looked at")
    )
    details = [line(finding, hint=True) for finding in errors]
    return InputError(f"{count(number, 'error')} in the firmware lists", hint=hint, details=details)
