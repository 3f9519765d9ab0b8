from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from builder import recall
from builder.context import dockerfiles, write_context
from builder.engine.base import BaseImage
from builder.graph import Context, Resolved
from builder.project import Project, load_project
from tests.unit.projects import write_project

BASE = BaseImage(ref="rosk-base:trixie", id="sha256:1", origin="local")
FOUND = Resolved(
    kernel_version="6.12.117", epoch=7, packages={"gcc": "14"}, source_package="6.12.117-1", base="b", base_digest="d"
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("ROSK_CACHE", str(tmp_path / "cache"))
    return load_project(write_project(tmp_path / "project"), arch="x86")


@pytest.fixture
def context(project: Project, tmp_path: Path) -> Context:
    write_context(project, tmp_path / "context")
    source = tmp_path / "source"
    source.mkdir()
    (source / "linux.tar.xz").write_text("archive")
    return Context(folder=tmp_path / "context", dockerfile=dockerfiles() / "kernel.Dockerfile", source=source)


def test_what_is_remembered_is_recalled(project: Project, context: Context) -> None:
    assert recall.recall(project, context, BASE) is None
    recall.remember(project, context, BASE, FOUND)
    assert recall.recall(project, context, BASE) == FOUND


def test_another_base_or_source_is_another_matter(project: Project, context: Context) -> None:
    recall.remember(project, context, BASE, FOUND)
    assert recall.recall(project, context, dataclasses.replace(BASE, id="sha256:2")) is None
    assert context.source
    (context.source / "linux.tar.xz").write_text("another archive")
    assert recall.recall(project, context, BASE) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"epoch": 1}'])
def test_a_damaged_memory_is_none(project: Project, context: Context, tmp_path: Path, text: str) -> None:
    recall.remember(project, context, BASE, FOUND)
    next((tmp_path / "cache/resolved").iterdir()).write_text(text)
    assert recall.recall(project, context, BASE) is None


def test_a_memory_that_cannot_be_kept_is_no_failure(project: Project, context: Context, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    recall.remember(project, context, BASE, FOUND)
