"""Caches that cannot be written: left out of a solve, which would fail of them, unless that is all it is for."""

from __future__ import annotations

import fcntl
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from builder import cachefolder, cachetransfer, graph
from builder.cachefolder import folder_tags
from builder.cachespec import NONE, Caches, keys_of, make_caches, reads_caches, without_exports, without_sources
from builder.errors import EngineError
from builder.project import load_project
from tests.unit.engine.states import READY
from tests.unit.projects import write_project
from tests.unit.test_graph import CONTEXT, RESOLVED


@pytest.mark.parametrize("entry", ["/sys", "type=local,dest=/sys,mode=min"])
def test_a_folder_that_is_there_and_takes_no_file(tmp_path: Path, entry: str) -> None:
    """Nobody can make a file in it, and root neither: so it is with a file system that is read-only."""
    said: list[str] = []
    assert make_caches((), (entry,), root=tmp_path, tag="b", warn=said.append) == Caches()
    assert [line.partition(": ")[0] for line in said] == ["no cache is written to /sys"]


@pytest.mark.parametrize("name", ["index.json", "oci-layout"])
def test_a_cache_whose_books_cannot_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "cache" / name).mkdir(parents=True)
    said: list[str] = []
    assert make_caches((), ("./cache",), root=tmp_path, tag="b", warn=said.append) == Caches()
    assert said == [f"no cache is written to {tmp_path}/cache: Is a directory"]


@pytest.mark.parametrize("text", ["{", "[]", '{"manifests": 3}', '{"manifests": [{"annotations": []}]}', "[" * 100_000])
def test_an_index_that_is_damaged_is_put_aside(tmp_path: Path, text: str) -> None:
    """buildx writes it in place, and fails each solve that is to write one more name into what it cannot read."""
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "index.json").write_text(text)
    assert folder_tags(folder) == []
    said: list[str] = []
    assert make_caches((), ("./cache",), root=tmp_path, tag="b", warn=said.append).targets
    assert (folder / "index.json.damaged").read_text() == text
    assert not (folder / "index.json").exists()
    assert len(said) == 1 and "is damaged" in said[0]


def test_an_index_that_is_being_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cachefolder, "_WAIT", 0.0)
    (tmp_path / "index.json").write_text("{")
    said: list[str] = []
    with (tmp_path / "index.json.lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert make_caches((), (str(tmp_path),), root=tmp_path, tag="b", warn=said.append) == Caches()
    assert (tmp_path / "index.json").read_text() == "{"
    assert said == [f"no cache is written to {tmp_path}: Resource temporarily unavailable"]


@pytest.mark.parametrize("text", ["", "{}", '{"manifests": null}', '{"manifests": [{}, {"annotations": null}]}'])
def test_an_index_that_buildx_reads(tmp_path: Path, text: str) -> None:
    (tmp_path / "index.json").write_text(text)
    assert make_caches((), (str(tmp_path),), root=tmp_path, tag="b", warn=pytest.fail).targets
    assert (tmp_path / "index.json").read_text() == text


def test_places_that_are_written_twice(tmp_path: Path) -> None:
    """BuildKit refuses them."""
    names = ("r.example/c:1", "./c", "type=registry,ref=r.example/c:1,mode=min", f"type=local,dest={tmp_path}/c,tag=b")
    others = ("type=local,dest=c,tag=d", "type=s3,bucket=a", "type=s3,bucket=b")
    made = make_caches((), (*names, *others), root=tmp_path, tag="b", warn=pytest.fail).targets
    assert made == make_caches((), (*names[:2], *others), root=tmp_path, tag="b", warn=pytest.fail).targets
    assert len(made) == 5


def test_all_places_get_the_same_format(tmp_path: Path) -> None:
    """BuildKit names in each what it made for the last of them."""
    names = ("./c", "type=registry,ref=r.example/c", "type=local,dest=d")
    keys = [keys_of(form) for form in make_caches((), names, root=tmp_path, tag="b", warn=pytest.fail).targets]
    formats = {tuple(each[key] for key in ("oci-mediatypes", "image-manifest", "compression")) for each in keys}
    assert formats == {("true", "true", "zstd")}
    own = ("type=registry,ref=r.example/c,compression=gzip",)
    assert "zstd" not in make_caches((), own, root=tmp_path, tag="b", warn=pytest.fail).targets[0]


def test_a_folder_that_works_has_nothing_new_in_it(tmp_path: Path) -> None:
    assert make_caches((), ("./cache",), root=tmp_path, tag="b", warn=pytest.fail).targets
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_is_left_where_no_cache_can_be_exported() -> None:
    caches = Caches(
        sources=("type=registry,ref=r.example/c",),
        targets=("type=local,dest=/c", "type=inline,mode=max", "type=registry,ref=r.example/c"),
    )
    assert without_exports(caches) == Caches(sources=caches.sources, targets=("type=inline,mode=max",))


def test_an_export_that_the_engine_cannot_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cachetransfer, "probe", lambda: replace(READY, containerd_store=False))
    builder = cast(Any, SimpleNamespace(engine=SimpleNamespace(remote=False)))
    with pytest.raises(EngineError, match="classic store"):
        cachetransfer.export_cache(builder, cast(Any, None), cast(Any, None), "/cache", caches=NONE)


def test_what_shared_caches_are_read(tmp_path: Path) -> None:
    project = load_project(write_project(tmp_path), arch="x86")
    plan = graph.build_plan(project, CONTEXT, RESOLVED, output=Path("/out"))
    caches = Caches(sources=("type=local,src=/c",), targets=("type=local,dest=/d",))
    reading = graph.build_plan(project, CONTEXT, RESOLVED, output=Path("/out"), caches=caches)
    assert (reads_caches(plan), reads_caches(reading)) == (False, True)
    without = without_sources(reading)
    assert not reads_caches(without)
    assert any(target.get("cache-to") for target in without["target"].values())
