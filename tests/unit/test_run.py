"""What `rosk build` says of checks that were done since, and where `rosk build` and `rosk release` publish to."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from builder import cachetransfer, release, run
from builder.build import Built, Order
from builder.engine.events import BuildResult
from builder.errors import BuildError, InputError
from builder.project import load_project
from builder.reports import Notice
from builder.run import BuildOptions, _print_files, _print_notices, spots_of
from builder.view import make_view
from tests.unit.engine.states import READY
from tests.unit.projects import SETTINGS, write_project

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


def test_notices_of_several_kernels_have_their_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = load_project(write_project(tmp_path), arch="x86")
    ran = BuildResult(ran=frozenset(), cached=frozenset(), failed=frozenset())
    notices = tuple(Notice(kind="module-not-built", what=f"m{number}.ko was not built") for number in range(30))
    built = Built(manifest={}, images=(), notices=notices, result=ran, compiled={})
    view = make_view({}, Console(), shown=str, quiet=True)
    _print_notices(view, project, built, named=True)
    several = capsys.readouterr()
    assert all(line.startswith("warning: x86: ") for line in (several.out + several.err).splitlines())
    assert "warning: x86: m0.ko was not built" in several.out + several.err
    _print_notices(view, project, built, named=False)
    alone = capsys.readouterr()
    assert "warning: m0.ko was not built" in alone.out + alone.err


def test_where_a_build_and_a_release_publish_to(tmp_path: Path) -> None:
    """The one to the registries, the other to all places, as `rosk publish` does."""
    files = "publish:\n  folders: [../kernels]\n  github: [{repository: acme/kernels}]\n"
    project = load_project(write_project(tmp_path / "all", **{"config/rosk.yaml": f"{SETTINGS}{files}"}), arch="x86")
    pushed, published = spots_of(project, everywhere=False), spots_of(project, everywhere=True)
    assert [str(each) for each in pushed.registries] == ["localhost:5001", "localhost:5002/mirror"]
    assert published.registries == pushed.registries
    assert not (pushed.folders or pushed.github)
    assert published.folders == (tmp_path / "all/../kernels",)
    assert [each.repository for each in published.github] == ["acme/kernels"]

    alone = SETTINGS[: SETTINGS.index("registries:")]
    project = load_project(write_project(tmp_path / "files", **{"config/rosk.yaml": f"{alone}{files}"}), arch="x86")
    assert spots_of(project, everywhere=True).folders
    with pytest.raises(InputError, match="no registry to push to"):
        spots_of(project, everywhere=False)
    project = load_project(write_project(tmp_path / "nowhere", **{"config/rosk.yaml": alone}), arch="x86")
    with pytest.raises(InputError, match="no place to publish to"):
        spots_of(project, everywhere=True)


@pytest.mark.parametrize(
    ("remote", "containerd", "left_out"),
    [(False, True, False), (True, False, False), (False, False, True)],
    ids=["the engine", "another builder", "the engine with its classic store"],
)
def test_a_cache_that_the_engine_cannot_write_is_left_out(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    remote: bool,
    containerd: bool,
    left_out: bool,
) -> None:
    project = load_project(write_project(tmp_path), arch="x86")
    ordered: list[Order] = []

    def build_all(orders: list[Order], *_: object, **__: object) -> None:
        ordered.extend(orders)
        raise BuildError("that is all")

    monkeypatch.setattr(cachetransfer, "probe", lambda: replace(READY, containerd_store=containerd))
    monkeypatch.setattr(run, "prepare_for", lambda *_, **__: (SimpleNamespace(remote=remote), None))
    monkeypatch.setattr(run, "build_all", build_all)
    shared = BuildOptions(cache_from=("r.example/c",), cache_to=("r.example/c", "type=inline"), commands=((),))
    with pytest.raises(BuildError, match="that is all"):
        run.run_build([project], shared)
    (caches,) = (order.caches for order in ordered)
    assert caches.sources == ("type=registry,ref=r.example/c",)
    assert [form.partition(",")[0] for form in caches.targets] == ["type=registry"] * (not left_out) + ["type=inline"]
    assert ("classic store" in "".join(capsys.readouterr())) == left_out
