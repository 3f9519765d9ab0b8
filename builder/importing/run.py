"""`rosk import` and `rosk init`: do it, and print the report."""

from __future__ import annotations

from pathlib import Path

from builder.importing.default import init_project
from builder.importing.project import import_project


def run_import(path: Path, target: Path | None, *, version: str | None, force: bool, as_json: bool) -> None:
    """Import a checkout of os-kernel; see `import_project`."""
    report = import_project(path, target, version=version, force=force)
    print(report.as_json() if as_json else report.text())


def run_init(target: Path, *, org: str | None, version: str | None, as_json: bool) -> None:
    """Start a project from the default one; see `init_project`."""
    report = init_project(target, org=org, version=version)
    print(report.as_json() if as_json else report.text())
