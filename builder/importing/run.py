"""`rosk import` and `rosk init`: do it, and print the report."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from builder.importing.default import init_project
from builder.importing.project import import_project
from builder.importing.report import WIDTH, Report


def run_import(path: Path, target: Path | None, *, version: str | None, force: bool, as_json: bool) -> None:
    """Import a checkout of os-kernel; see `import_project`."""
    _print(import_project(path, target, version=version, force=force), as_json=as_json)


def run_init(target: Path, *, org: str | None, version: str | None, as_json: bool) -> None:
    """Start a project from the default one; see `init_project`."""
    _print(init_project(target, org=org, version=version), as_json=as_json)


def _print(report: Report, *, as_json: bool) -> None:
    if not as_json:
        print(report.text(shutil.get_terminal_size((WIDTH, 24)).columns))
        return
    for error in report.errors:
        print(f"not taken over: {error}", file=sys.stderr)
    print(report.as_json())
