"""What `rosk lists` prints: for people, and for programs."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape

from builder.lists.check import Unlisted
from builder.lists.files import Files, Named
from builder.lists.model import Finding, Kernel, Texts
from builder.lists.why import Why
from builder.release import human_size
from builder.verify.model import count, shown

SHOWN = 20
"""Of one kind of warning only so many are printed: a list may be shared by kernels with other configs."""


def line(finding: Finding, *, hint: bool = False) -> str:
    """A finding in one line: where, what, its kind, and what to do if that is wanted."""
    where = f"{finding.where}:{finding.line}: " if finding.where else ""
    return shown(f"{where}{finding.what} [{finding.kind}]" + (f": {finding.hint}" if hint and finding.hint else ""))


def print_check(console: Console, kernel: Kernel | None, findings: Sequence[Finding], texts: Texts) -> None:
    """Print the warnings, and how many findings there are; the errors are in the command's own error."""
    if kernel is not None:
        print_sources(console, kernel.sources)
    warnings = print_warnings(console, findings)
    errors = count(sum(finding.error for finding in findings), "error")
    lines = f"{count(len(texts.lists.main), 'line')} and {count(len(texts.lists.extra), 'line')}"
    console.print(f"{lines}: {errors}, {count(warnings, 'warning')}")


def print_warnings(console: Console, findings: Sequence[Finding]) -> int:
    """Print the warnings and notes among findings, and return how many warnings there are."""
    warnings = [finding for finding in findings if not finding.error]
    counted = Counter(finding.kind for finding in warnings)
    for kind, number in counted.items():
        alike = [finding for finding in warnings if finding.kind == kind][:SHOWN]
        for finding, after in zip(alike, [*alike[1:], None], strict=True):
            console.print(f"{'note:   ' if finding.note else '[yellow]warning:[/]'} {escape(line(finding))}")
            if finding.hint and (after is None or after.hint != finding.hint):  # once for several in a row
                console.print(f"         {escape(shown(finding.hint))}", style="dim")
        if number > SHOWN:
            console.print(f"[yellow]warning:[/] and {number - SHOWN:,} more of {escape(f'[{kind}]')} (all: --json)")
    return sum(not finding.note for finding in warnings)


def check_json(kernel: Kernel | None, findings: Sequence[Finding]) -> dict[str, Any]:
    """The same for programs; `complete` says whether the kernel was looked at."""
    return {
        "release": kernel.v if kernel else None,
        "complete": kernel is not None,
        "sources": list(kernel.sources) if kernel else [],
        "never_compiled": sorted(kernel.unseen) if kernel else [],
        "errors": sum(finding.error for finding in findings),
        "warnings": sum(not (finding.error or finding.note) for finding in findings),
        "findings": list(map(asdict, findings)),
    }


def diff(files: Files, before: Named, after: Named) -> str:
    """The unified diff of the lists; empty when nothing changed."""
    rows: list[str] = []
    for name in files.inputs:
        old, new = (text.of(name).splitlines(keepends=True) for text in (before, after))
        rows += difflib.unified_diff(old, new, fromfile=f"a/{files.name(name)}", tofile=f"b/{files.name(name)}")
    return "".join(row if row.endswith("\n") else f"{row}\n\\ No newline at end of file\n" for row in rows)


def fix_json(
    files: Files,
    before: Texts,
    after: Texts,
    left: Sequence[Unlisted],
    unsure: Sequence[Unlisted],
    *,
    complete: bool,
) -> dict[str, Any]:
    """What was or would be changed, for programs."""
    lists = (
        ("core", before.lists.main, after.lists.main),
        ("extra", before.lists.extra, after.lists.extra),
    )
    return {
        "complete": complete,
        "added": {
            name: [entry.path for entry in new if entry.path not in {other.path for other in old}]
            for name, old, new in lists
        },
        "left": [item.path for item in left],
        "unsure": [item.path for item in unsure],
        "diff": diff(files, before, after),
    }


def print_why(console: Console, files: Files, kernel: Kernel, found: Sequence[Why]) -> None:
    """Print all there is to say of modules."""
    for why in found:
        console.print(f"[bold]{escape(shown(why.path))}[/]")
        for name, value in why_rows(why):
            console.print(f"  {name:14} {escape(shown(files.rename(value)))}")
    print_sources(console, kernel.sources)


def why_rows(why: Why) -> list[tuple[str, str]]:
    """What `rosk lists why` says of a module: name and value of each line."""
    package = f"{why.package} package: {why.because}" if why.package else why.because
    rows = [("package" if why.state == "module" else "state", package)]
    rows += [("listed", place) for place in why.lines]
    if why.state != "module":
        return rows
    rows += [("through", " → ".join(why.through))] if why.through else []
    rows += [("option", why.option or "not known without the engine")]
    rows += [("depends on", path) for path in why.depends]
    rows += [("may depend on", path) for path in why.may_need]
    rows += [("needed by", path) for path in why.needed_by]
    rows += [("would like", f"{name} ({', '.join(paths) or 'not built'})") for name, paths in why.softdeps.items()]
    rows += [("wanted by", path) for path in why.wanted_by]
    rows += [("firmware", f"{name} ({place or 'in no list'})") for name, place in why.firmware.items()]
    if why.size is None and not why.firmware:
        rows.append(("firmware", "not known before it is compiled; `rosk firmware check` looks in the source"))
    rows += [("size", "not known yet" if why.size is None else human_size(why.size))]
    rows += [("license", why.license)] if why.license else []
    rows += [("to boot", why.boot)] if why.boot else []
    return rows


def why_json(files: Files, kernel: Kernel, found: Sequence[Why]) -> dict[str, Any]:
    """The same for programs."""
    modules = [json.loads(files.rename(json.dumps(asdict(why)))) for why in found]
    return {"release": kernel.v, "sources": list(kernel.sources), "modules": modules}


def print_sources(console: Console, sources: Sequence[str]) -> None:
    """Print where all this is known from."""
    for source in sources:
        console.print(f"from: {escape(source)}", style="dim")
