"""Which packages a build foresees to fetch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.context import write_context
from builder.foresight import foreseen, lasting
from builder.graph import Context
from builder.project import load_project
from builder.release import describe_inputs
from tests.unit.projects import write_project
from tests.unit.verify.releases import release as write_release

ALL = ("kernel", "extras", "headers", "source")


def foresee(root: Path) -> tuple[str, ...]:
    project = load_project(root, arch="x86")
    folder = root / "context"
    shutil.rmtree(folder, ignore_errors=True)
    write_context(project, folder)
    return foreseen(project, Context(folder=folder, dockerfile=Path("/kernel.Dockerfile")))


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A project whose `dist` says that it was built as it is."""
    root = write_project(tmp_path)
    project = load_project(root, arch="x86")
    project.dist.mkdir()
    manifest = {
        "inputs": describe_inputs(project, root / "none"),
        "settings": project.settings.model_dump(mode="json"),
        "firmware": {"revision": None, "sha256": None},
    }
    (project.dist / "manifest.json").write_text(json.dumps(manifest))
    return root


def append(name: str, text: str = "# more\n") -> Callable[[Path], object]:
    return lambda root: (root / name).write_text(((root / name).read_text() if (root / name).exists() else "") + text)


def edit(old: str, new: str) -> Callable[[Path], object]:
    path = "config/rosk.yaml"
    return lambda root: (root / path).write_text((root / path).read_text().replace(old, new))


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda _root: None, ()),
        (append("lists/x86/modules.list"), ("kernel", "extras")),
        (append("lists/x86/firmware.list"), ("kernel", "extras")),
        (append("config/x86/kernel-config"), ("kernel", "extras", "headers")),
        (append("patches/x86/0001-a.patch"), ALL),
        (append("patches/x86/0003-c.patch", "--- a/a\n+++ b/a\n@@ -1 +1 @@\n-x\n+y\n"), ALL),
        (lambda root: (root / "patches/x86/0002-b.patch").unlink(), ALL),
        (edit("  source: none\n", "  source: debian\n  packages: [firmware-misc-nonfree]\n"), ("kernel", "extras")),
        (edit("registries:", "lists:\n  softdeps: pull\nregistries:"), ("kernel", "extras")),
        (edit("localhost:5001", "localhost:5009"), ()),
        (lambda root: (root / "dist/manifest.json").unlink(), ALL),
        (lambda root: (root / "dist/manifest.json").write_text("[]"), ALL),
        (lambda root: (root / "dist/manifest.json").write_text("{"), ALL),
    ],
)
def test_what_an_edit_changes(built: Path, change: Callable[[Path], object], wanted: tuple[str, ...]) -> None:
    change(built)
    assert foresee(built) == wanted


def test_what_lasts(tmp_path: Path) -> None:
    dist = write_release(tmp_path / "dist", kernel={}, extras={}, headers={})
    assert [path.name.split("-")[0] for path in lasting(dist, ("kernel", "extras"))] == ["build"]
    assert lasting(dist, ALL) == lasting(tmp_path / "none", ()) == []
