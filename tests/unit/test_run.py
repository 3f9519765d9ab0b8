"""The summary of `rosk build`: what it says of checks that were done since."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from builder import release
from builder.build import Built
from builder.engine.events import BuildResult
from builder.project import load_project
from builder.run import _print_files
from tests.unit.projects import write_project

V = "6.12.64-acme"


@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        (["ok", "ok", "skipped"], "2 checks passed; `rosk verify`"),
        (["ok", "failed", "unchecked"], "1 checks passed, 1 failed; `rosk verify`"),
    ],
)
def test_the_checks(tmp_path: Path, statuses: list[str], said: str) -> None:
    project = load_project(write_project(tmp_path), arch="x86")
    (project.dist / "kernel").mkdir(parents=True)
    for name in release.file_names(project, V):
        (project.dist / "kernel" / name).write_text(name)
    (project.dist / release.VERIFY).write_text(json.dumps({"checks": [{"status": status} for status in statuses]}))
    console = Console(file=io.StringIO(), width=120, highlight=False)
    ran = BuildResult(ran=frozenset(), cached=frozenset(), failed=frozenset())
    _print_files(console, project, Built(manifest={"release": V}, images=(), notices=(), result=ran, compiled={}))
    assert isinstance(console.file, io.StringIO)
    assert said in console.file.getvalue()
