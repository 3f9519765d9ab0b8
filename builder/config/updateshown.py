"""What `rosk config update` prints: for people, and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from builder.config.ask import console, shown
from builder.config.checking import Checked
from builder.config.update import Gone, NewOption, Update
from builder.project import SETTINGS_FILE, Project
from builder.stages.dotconfig import value_of
from builder.verify.model import count

_SHOWN = 60


@dataclass(frozen=True, kw_only=True)
class Told:
    """One kernel of a project, on its way to another version.

    Attributes:
        files: Those of its config that change, by their names in the build context.
        checked: What a check says of its config once they have.
    """

    project: Project
    update: Update
    files: tuple[str, ...]
    checked: Checked

    @property
    def names(self) -> list[str]:
        """The project's own names for the files."""
        return [shown(self.project, file) for file in self.files]

    @property
    def errors(self) -> list[str]:
        """What a build would stop for then, a line each."""
        return self.checked.errors


def print_json(told: Sequence[Told], left: Sequence[str], *, written: bool) -> None:
    """One object: what is the same for all kernels of the project, and `kernels`, a list.

    Args:
        left: The architectures that have a config, and that it was not asked for.
    """
    common = {"old": told[0].update.old, "new": told[0].update.new, "files": _all_files(told), "left": list(left)}
    kernels = [_as_json(each) for each in told]
    print(json.dumps({**common, "written": written, "kernels": kernels}, indent=1))


def _as_json(told: Told) -> dict[str, Any]:
    project, update = told.project, told.update
    return {
        "name": project.name,
        "arch": project.arch.name,
        "flavour": project.flavour,
        "added": [
            {"name": each.name, "value": each.value, "prompt": each.prompt, "help": each.help, "group": each.group}
            for each in update.fresh
        ],
        "gone": [
            {
                "name": each.name,
                "value": each.value,
                "where": shown(project, each.where) if each.where else None,
                "line": each.line or None,
                "renamed": each.renamed or None,
                "sure": each.sure,
            }
            for each in update.gone
        ],
        "changed": [{"name": each.name, "old": each.old, "new": each.new, "why": each.why} for each in update.changed],
        "lost": [
            {"name": each.name, "asked": each.asked, "got": each.got, "reason": each.reason} for each in update.lost
        ],
        "files": told.names,
        "refused": told.checked.refused,
        "errors": told.errors,
    }


def print_text(told: Sequence[Told], left: Sequence[str], *, written: bool) -> None:
    """A section for each kernel; one that is as another before it says so in a line.

    Args:
        left: As of `print_json`.
    """
    out = console()
    update = told[0].update
    out.print(f"Linux {update.old} → {update.new}", markup=False, style="bold")
    before: dict[tuple[str, ...], str] = {}
    for each in told:
        lines = tuple(_lines(each))
        if len(told) > 1:
            out.print(f"\n{each.project.name}", markup=False, style="bold")
        if lines in before:
            out.print(f"as {before[lines]}", markup=False)
            continue
        before[lines] = each.project.name
        if not lines:
            out.print("the config is the same there")
        for line in lines:
            out.print(line, markup=False, style="" if line.startswith(" ") else "bold")
    names = ", ".join([*_all_files(told), str(SETTINGS_FILE)])
    out.print()
    if written:
        out.print(f"{names} written: the project builds Linux {update.new}", markup=False)
    else:
        out.print(f"--write changes {names}", markup=False)
    for arch in left:
        hint = f"`architectures` of the settings leaves {arch} out; --arch {arch} means it"
        out.print(f"config/{arch}/kernel-config is not among them: {hint}", markup=False)


def _all_files(told: Sequence[Told]) -> list[str]:
    return list(dict.fromkeys(name for each in told for name in each.names))


def _lines(told: Told) -> Iterator[str]:
    project, update = told.project, told.update
    changed = [
        f"CONFIG_{each.name}: {each.old} → {each.new}{f' ({each.why})' if each.why else ''}" for each in update.changed
    ]
    lost = [f"{shown(project, each.where)}:{each.line}: {each.describe()}" for each in update.lost]
    fresh = [_new_line(each) for each in update.fresh]
    gone = [_gone_line(each, project) for each in update.gone]
    yield from _section(count(len(fresh), "new option"), fresh)
    yield from _section(f"{count(len(gone), 'option')} gone", gone)
    yield from _section(f"{count(len(changed), 'value')} changed", changed)
    yield from _section(f"{count(len(lost), 'option')} asked for and not had", lost)


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if not lines:
        return
    yield ""
    yield title
    yield from (f"  {line}" for line in lines[:_SHOWN])
    if len(lines) > _SHOWN:
        yield f"  and {len(lines) - _SHOWN} more; --json has them all"


def _new_line(each: NewOption) -> str:
    about = f"{each.prompt}. {each.help}" if each.help else each.prompt
    return f"CONFIG_{each.name}={value_of({each.name: each.value}, each.name)}  [{each.group}] {about}"


def _gone_line(each: Gone, project: Project) -> str:
    place = f" ({shown(project, each.where)}:{each.line})" if each.where else ""
    now = f", now CONFIG_{each.renamed}" if each.sure else f", perhaps CONFIG_{each.renamed}" if each.renamed else ""
    return f"CONFIG_{each.name}={each.value}{place}{now}"
