"""A real kernel, as small as one with modules gets: the same bits with one CPU, by another user, on another day."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest

from builder.engine.base import BaseImage
from tests.conftest import run_rosk
from tests.graph.edits import differences, outcome, released
from tests.graph.elsewhere import another_day, build_elsewhere, cpus, jobs, one_cpu, stranger
from tests.real.small import small_project

pytestmark = [pytest.mark.engine, pytest.mark.heavy, pytest.mark.timeout(7200)]


def test_the_same_elsewhere(base: BaseImage, tmp_path: Path) -> None:
    """And `rosk repro` says so."""
    project = small_project(base, tmp_path / "project")
    built = project.build(scope=secrets.token_hex(6))
    assert built.compiled["objects"] > 200
    here = project.root / "dist"
    assert jobs(here) == {cpus()} != {1}, "with one CPU here as well this proves nothing"
    with one_cpu(tmp_path) as engine, another_day(base, tmp_path / "day") as day, stranger() as user:
        there = build_elsewhere(project, user, engine, day)
        assert jobs(there) == {1}
        assert released(there) == outcome(project, built), differences(here, there)
    done = run_rosk("repro", "-C", project.root, "--json")
    assert done.code == 0, done.out[-4000:] + done.err[-4000:]
    assert json.loads(done.out)["reproducible"]
