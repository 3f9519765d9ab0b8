"""Findings for people: a graphics driver names some hundred files, which would hide what is said of all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from builder.firmware.model import KERNEL, LIST_OF, Asking, Known
from builder.lists.model import Finding
from builder.verify.model import count

_ENDS = {
    "missing": "which ship in no package",
    "unavailable": "which ship in no package",
    "in-extra": "which are in the extras",
}
"""The kinds of which a module may have many, and how the line for them ends."""


def fold(known: Known, findings: Sequence[Finding]) -> list[Finding]:
    """The findings, with one for all files of a kind that one module may ask for."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for number, finding in enumerate(findings):
        who = _who(known, finding)
        groups.setdefault((finding.kind, who.path if who else str(number)), []).append(finding)
    return [_joined(group, known) if len(group) > 1 else group[0] for group in groups.values()]


def _who(known: Known, finding: Finding) -> Asking | None:
    """The module that such a finding names."""
    if finding.kind not in _ENDS:
        return None
    asking = known.askers(finding.path) if finding.kind == "in-extra" else (known.asked or {}).get(finding.path, ())
    wanted = [each for each in asking if finding.kind != "in-extra" or each.package == KERNEL]
    return wanted[0] if wanted else None


def _joined(findings: Sequence[Finding], known: Known) -> Finding:
    first = findings[0]
    who = _who(known, first)
    assert who is not None
    others = count(len(findings) - 1, "other file")
    what, hint = f"{who} may ask for {first.path} and {others}, {_ENDS[first.kind]}", first.hint
    if first.kind == "missing":
        to = LIST_OF[who.package]
        hint = f"add them to {to}, as `rosk firmware fix` does; --json names them"
        if known.offer is None:
            hint = f"add them to {to}; whether the source has them is not known without the engine; --json names them"
    return replace(first, what=what, hint=hint)
