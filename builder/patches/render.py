"""What `rosk patches` prints of a check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from builder.patches.check import Checked

_MARKS = {"applies": "ok", "left-out": "--"}


def lines(checked: Checked) -> Iterator[str]:
    """A line for each patch, and what is to be said of it under that."""
    width = max((len(patch["name"]) for patch in checked.patches), default=0)
    for patch in checked.patches:
        yield f"{_MARKS.get(patch['state'], '!!')}  {patch['name']:{width}}  {status(patch, checked.version)}"
        for note in _notes(patch):
            yield f"      {note}"


def status(patch: Mapping[str, Any], version: str) -> str:
    """What a patch's state means, in one phrase."""
    states = {
        "applies": f"applies, offset {patch['offset']}" if patch["offset"] else "applies",
        "fuzz": f"applies only with fuzz {patch['fuzz']}, which a build refuses",
        "upstream": f"already applied: upstream in {version}",
        "duplicate": f"{patch['after']} does the same",
        "order": f"applies only after {patch['after']}",
        "left-out": f"left out: {patch['what']}",
    }
    return states.get(patch["state"]) or f"{patch['state']}: {patch['what']}"


def _notes(patch: Mapping[str, Any]) -> Iterator[str]:
    if patch["state"] == "fails":
        for hunk in patch["hunks"]:
            where = f"{patch['name']}:{hunk['line']}"
            yield f"{where}: hunk {hunk['number']} of {hunk['file']}, expected at its line {hunk['at']}"
        yield from (f"  {line}" for line in patch["text"])
    elif patch["state"] == "malformed" and patch["line"]:
        yield f"at its line {patch['line']}"
    yield from patch["notes"]


def summary(checked: Checked) -> str:
    """One line about all of them."""
    count = len(checked.patches)
    if not count:
        return "there are no patches"
    if not checked.bad:
        left_out = sum(patch["state"] == "left-out" for patch in checked.patches)
        aside = f" ({left_out} left out)" if left_out else ""
        return f"{_patches(count)} for {checked.version}: all apply{aside}"
    return f"{_patches(count)} for {checked.version}: {len(checked.bad)} not as a build needs them"


def hint(checked: Checked) -> str:
    """What to do next, for the worst that was found."""
    states = {patch["state"] for patch in checked.bad}
    if "malformed" in states or "fails" in states:
        first = next(patch for patch in checked.bad if patch["state"] in ("malformed", "fails"))
        return str(first["hint"] or "adapt the patch to this kernel version")
    if "order" in states:
        return f"name the patches so that this is their order: {', '.join(checked.order)}"
    if "fuzz" in states:
        return "look at what changed around them, then `rosk patches refresh`"
    return str(checked.bad[0]["hint"])


def _patches(count: int) -> str:
    return "1 patch" if count == 1 else f"{count} patches"


def as_json(checked: Checked, *, stale: bool, refreshed: Sequence[str] | None = None) -> dict[str, Any]:
    """The same for programs.

    Args:
        stale: The table does not say what the patches say.
        refreshed: The patches that were written again, for a command that does so.
    """
    return {
        "kernel_version": checked.version or None,
        "ok": not checked.bad,
        "order": list(checked.order) or None,
        "table_stale": stale,
        **({"refreshed": list(refreshed)} if refreshed is not None else {}),
        "patches": list(checked.patches),
    }
