"""What came of a proof, as people and programs read it: the report, the table, the JSON, the error."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape

from builder.errors import ReproError
from builder.project import Project
from builder.release import shown_path
from builder.repro.differences import look_into
from builder.repro.model import REPORT, Proof

LOOKED_INTO = 3
"""So many differences are shown with what `diffoscope` says of them."""

_SHOWN_DIFFERENCES = 25
_SHOWN_LINES = 15


def report_lines(proof: Proof) -> list[str]:
    """All that was found, for the report: each difference, the first few with their contents' differences."""
    lines = [f"input: {line}" for line in proof.inputs]
    looked = 0
    for difference in proof.differences:
        lines.append(str(difference))
        if difference.first is not None and looked < LOOKED_INTO:
            looked += 1
            lines += [f"    {line}" for line in look_into(difference)]
    return lines


def as_json(project: Project, manifest: Mapping[str, Any], proof: Proof) -> dict[str, Any]:
    """The result, for programs."""
    return {
        "reproducible": proof.reproducible,
        "release": manifest["release"],
        "arch": manifest["arch"],
        "compared": {each.name: {"first": each.first, "second": each.second} for each in proof.compared},
        "inputs": list(proof.inputs),
        "notices": list(proof.notices),
        "differences": [{"where": list(each.where), "what": each.what} for each in proof.differences],
        "report": None if proof.reproducible else str(project.dist / REPORT),
    }


def print_proof(console: Console, manifest: Mapping[str, Any], proof: Proof) -> None:
    """Print the result as a table, for people."""
    console.print(f"\n[bold]Kernel {escape(manifest['release'])} for {manifest['arch']}, built twice[/]")
    for each in proof.compared:
        state = "[green]same   [/]" if each.same else "[red]differs[/]"
        console.print(f"  {state}  {each.first or 'absent':<71}  {escape(each.name)}", soft_wrap=True)
        if not each.same:
            console.print(f"           {each.second or 'absent'}", soft_wrap=True)
    if proof.reproducible:
        console.print("\n[bold green]The release is reproducible[/]: a second build from nothing gave the same bytes")


def repro_error(project: Project, proof: Proof) -> ReproError:
    """The error for a release that is not reproducible."""
    wrong = sum(not each.same for each in proof.compared)
    report = project.dist / REPORT
    details = _excerpt(report.read_text(errors="replace").splitlines())
    causes = [f"known cause: {notice}" for notice in proof.notices]
    hint = f"the whole comparison is in {shown_path(report)}"
    if shutil.which("diffoscope") is None:
        hint += "; with diffoscope installed it says more"
    return ReproError(
        f"{wrong} of {len(proof.compared)} files and images came out otherwise in a second build",
        hint=hint,
        details=[*causes, *details],
    )


def _excerpt(lines: Sequence[str]) -> list[str]:
    """The lines of a report that fit a screen: a few of each look into a file, and the first differences."""
    shown: list[str] = []
    differences = inside = 0
    for line in lines:
        if line.startswith("    "):
            inside += 1
            if inside <= _SHOWN_LINES and differences <= _SHOWN_DIFFERENCES:
                shown.append(line)
        else:
            inside = 0
            differences += 1
            if differences <= _SHOWN_DIFFERENCES:
                shown.append(line)
    if differences > _SHOWN_DIFFERENCES:
        shown.append(f"and {differences - _SHOWN_DIFFERENCES} more")
    return shown
