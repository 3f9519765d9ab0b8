"""What is asked of the engine beside a build."""

from __future__ import annotations

from pathlib import Path

from builder import graph
from builder.cachespec import Caches
from builder.project import load_project
from builder.question import question_plan
from tests.unit.projects import write_project


def test_the_plan_is_one_target_with_the_arguments_of_a_build(tmp_path: Path) -> None:
    project = load_project(write_project(tmp_path), arch="x86")
    context = graph.Context(folder=Path("CONTEXT"), dockerfile=Path("D"), source=Path("SOURCE"))
    resolved = graph.Resolved(kernel_version="6.12.64", epoch=1, packages={}, base="base", base_digest="sha256:0")
    caches = Caches(sources=("type=registry,ref=r",))
    plan = question_plan(project, context, resolved, target="lists", output=Path("out.tar"), caches=caches)
    build = graph.build_plan(project, context, resolved, output=Path("out.tar"), caches=caches)["target"]["release"]
    assert plan == {"target": {"lists": {**build, "target": "lists"}}}
    assert "cache-to" not in plan["target"]["lists"]
