"""What a build noticed on its way: the stages' warnings, and those that only show when reports are joined."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.project import Project


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One thing to look at.

    Attributes:
        kind: A fixed word (`module-not-built`, `softdep-in-extra`, `firmware-absent`, …).
        what: One line for people.
        where: `file:line` in the project, or an empty string.
    """

    kind: str
    what: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


def read_reports(project: Project, reports: Path) -> tuple[list[Notice], str | None]:
    """The notices of a build whose reports were exported to the folder `reports`, and its firmware's revision."""
    found = [
        _warning(project, entry)
        for name in ("config", "split", "firmware")
        for entry in json.loads((reports / f"{name}.json").read_text()).get("warnings", [])
    ]
    modules = json.loads((reports / "modules.json").read_text())
    firmware = json.loads((reports / "firmware.json").read_text())
    return [*found, *_firmware_wanted(modules, set(firmware["files"]))], firmware["revision"]


def _warning(project: Project, entry: Mapping[str, Any]) -> Notice:
    where = str(project.origin(entry["where"]) or entry["where"]) if entry.get("where") else ""
    if where and entry.get("line"):
        where = f"{where}:{entry['line']}"
    return Notice(kind=entry["kind"], what=entry["what"], where=where)


def _firmware_wanted(modules: Mapping[str, Mapping[str, Any]], shipped: set[str]) -> Iterator[Notice]:
    """Modules that ask for firmware (`modinfo -F firmware`) that neither package ships, one warning a module."""
    for path, module in sorted(modules.items()):
        missing = [name for name in module["firmware"] if name not in shipped]
        if missing:
            shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
            package = "kernel" if module["package"] == "main" else "extras"
            yield Notice(kind="firmware-missing", what=f"{path} ({package} package) may load {shown}: not shipped")
