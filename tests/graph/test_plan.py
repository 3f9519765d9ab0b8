"""The golden bake plans as buildx reads them: nothing in them is unknown to it, and text stays text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder.engine.docker import Docker
from tests.conftest import ROOT, run_rosk

pytestmark = pytest.mark.engine

GOLDEN = ROOT / "tests/unit/golden"


@pytest.mark.parametrize("name", ["build.json", "resolve.json"])
def test_buildx_reads_the_golden_plans(engine: None, name: str) -> None:
    plan = json.loads((GOLDEN / name).read_text())
    printed = Docker().print_plan(plan)
    assert printed["target"].keys() == plan["target"].keys()
    for target, wanted in plan["target"].items():
        got = printed["target"][target]
        assert {key: got.get(key) for key in wanted if key not in ("output", "args")} == {
            key: value for key, value in wanted.items() if key not in ("output", "args")
        }
        assert got["args"] == wanted["args"]
        assert len(got["output"]) == 1


def test_templates_are_text(engine: None) -> None:
    target = {"context": "/a ${b} %{c}", "dockerfile": "/d", "args": {"X": "${PATH} $${y}"}}
    assert Docker().print_plan({"target": {"x": target}})["target"]["x"]["args"] == {"X": "${PATH} $${y}"}


def test_rosk_plan_needs_no_engine(tmp_path: Path) -> None:
    done = run_rosk("plan", DOCKER_HOST="unix:///nowhere", PATH="/usr/bin:/bin")
    assert done.code == 0, done.err
    assert "compile" in done.out
    bake = run_rosk("plan", "--bake", DOCKER_HOST="unix:///nowhere")
    assert set(json.loads(bake.out)["target"]) == {"release", "os-extras", "os-headers", "os-kernel"}


def test_doctor(engine: None) -> None:
    done = run_rosk("doctor")
    assert done.code == 0
    assert "Docker Engine" in done.out
    missing = run_rosk("doctor", DOCKER_HOST="unix:///nowhere")
    assert missing.code == 5
    assert "nowhere" in missing.out
