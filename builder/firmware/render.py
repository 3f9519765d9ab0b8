"""What `rosk firmware` prints: for people, and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from builder.firmware.check import Shipped
from builder.firmware.model import Known, Texts
from builder.lists.model import Finding
from builder.lists.render import print_sources, print_warnings
from builder.verify.model import count


def print_check(
    console: Console,
    known: Known | None,
    findings: Sequence[Finding],
    ships: Sequence[Shipped],
    *,
    folded: Sequence[Finding],
) -> None:
    """Print the warnings, and how many findings there are; the errors are in the command's own error.

    Args:
        folded: The findings in fewer lines (`builder.firmware.fold`).
    """
    if known is not None:
        print_sources(console, known.sources)
    print_warnings(console, folded)
    warnings = sum(not finding.error for finding in findings)
    links = sum(each.target is not None for each in ships)
    what = f"{count(len(ships) - links, 'file')} and {count(links, 'link')} ship"
    console.print(f"{what}: {count(sum(finding.error for finding in findings), 'error')}, {count(warnings, 'warning')}")


def check_json(known: Known | None, findings: Sequence[Finding], ships: Sequence[Shipped]) -> dict[str, Any]:
    """The same for programs; `complete` says whether modules and source were looked at."""
    return {
        "release": known.release if known else None,
        "complete": known is not None and known.asked is not None and (known.offer is not None or known.no_source),
        "revision": known.offer.revision if known and known.offer else None,
        "upstream": {
            "url": known.upstream.url,
            "fetched": datetime.fromtimestamp(known.upstream.fetched, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "stale": known.upstream.stale,
        }
        if known and known.upstream
        else None,
        "sources": list(known.sources) if known else [],
        "errors": sum(finding.error for finding in findings),
        "warnings": sum(not finding.error for finding in findings),
        "findings": list(map(asdict, findings)),
        "files": list(map(asdict, ships)),
        "asked": {
            name: [each.path for each in asking] for name, asking in sorted(((known and known.asked) or {}).items())
        },
    }


def fix_json(texts: Texts, after: Texts, replaced: Mapping[str, str], diff: str) -> dict[str, Any]:
    """What was or would be changed, for programs."""
    lists = (("kernel", texts.main_lines, after.main_lines), ("extras", texts.extra_lines, after.extra_lines))
    new = set(replaced.values())
    return {
        "added": {
            name: [line.path for line in lines if line.path not in {old.path for old in before} | new]
            for name, before, lines in lists
        },
        "replaced": dict(replaced),
        "diff": diff,
    }
