"""Shared caches and pruning against a real BuildKit, a real registry and a folder.

The engine is shared with other builds, so what is "lost" here are this test's own records: its Dockerfile has a word of
its own in every step that runs a stage program.
"""

from __future__ import annotations

import io
import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from rich.console import Console

from builder import caches, graph, stagenames
from builder.build import shown_result
from builder.buildlog import BuildLog
from builder.cachefolder import folder_tags
from builder.cachesize import keep_readable
from builder.cachespec import NONE, Caches, make_caches, told
from builder.cachetransfer import export_cache, import_cache, project_caches
from builder.context import dockerfiles
from builder.engine.base import BaseImage, bootstrapped_name
from builder.engine.cacherecords import CACHE_MOUNT, BuildCache, Record
from builder.engine.docker import Docker
from builder.engine.events import BuildResult
from builder.errors import EngineError, InputError
from builder.project import Project, load_project
from builder.solver import Builder
from builder.view import QuietView
from tests.graph.conftest import EXTRA_LIST, MAIN_LIST, FakeProject

pytestmark = pytest.mark.engine

DEAD = "localhost:1/acme/cache:6.12"


def engine_cache() -> BuildCache:
    name = subprocess.run(["docker", "context", "show"], capture_output=True, text=True, check=True).stdout.strip()
    return BuildCache(name)


class Mended(Exception):
    """BuildKit lost results, and they were made again: what ran says nothing of the cache."""


@dataclass
class Lab:
    """Builds of one project whose layers can be told from all others."""

    fake: FakeProject
    folder: Path
    token: str = field(default_factory=lambda: secrets.token_hex(4))
    warnings: list[str] = field(default_factory=list)
    solves: int = 0
    shown: io.StringIO = field(default_factory=io.StringIO)

    def builder(self) -> tuple[Builder, graph.Context, graph.Resolved]:
        self.solves += 1
        folder = self.folder / str(self.solves)
        folder.mkdir()
        log = BuildLog(folder / "build.log", folder / "kept.log").__enter__()
        view = QuietView(Console(file=self.shown))
        project = self.project()
        project.dist.mkdir(exist_ok=True)
        builder = Builder(
            project=project,
            engine=Docker(),
            base=self.fake.base,
            view=view,
            log=log,
            folder=folder,
            scope=self.token,
        )
        dockerfile = folder / "Dockerfile"
        dockerfile.write_text(self._marked((dockerfiles() / "kernel.Dockerfile").read_text()))
        context = replace(builder.context(), dockerfile=dockerfile)
        epoch = 1577836800
        resolved = graph.Resolved(
            kernel_version="6.12.99", epoch=epoch, packages={}, base=self.fake.base.ref, base_digest=self.fake.base.id
        )
        return builder, context, resolved

    def _marked(self, text: str) -> str:
        """A Dockerfile whose layers have this lab's word, or lie on one that has."""
        text = text.replace("python3 -m builder", f"ROSK_TEST={self.token} python3 -m builder")
        first, *stages = re.split(r"^(?=FROM scratch AS (?!rosk-))", text, flags=re.M)
        program = f"ROSK_TEST={self.token} python3 -m builder.stages.none"
        marker = f"FROM tools AS marker\nRUN {program} || touch /{self.token}\n\n"
        copy = f"COPY --from=marker /{self.token} /\n"
        stages = [stage.replace("\n", f"\n{copy}", 1) for stage in stages]
        return first.replace("# The compiler and what", f"{marker}# The compiler and what") + "".join(stages)

    def build(self, shared: Caches = NONE) -> BuildResult:
        builder, context, resolved = self.builder()
        plan = graph.build_plan(
            builder.project, context, resolved, output=builder.folder / "o.tar", scope=self.token, caches=shared
        )
        state, _ = builder.solve(plan, epoch=resolved.epoch)
        self.check()
        self.warnings = told(state.warnings)
        return shown_result(state.result)

    def check(self) -> None:
        """See that nothing was mended.

        Raises:
            Mended: It was.
        """
        if "cache is damaged" in self.shown.getvalue():
            raise Mended

    def caches(self, *, sources: tuple[str, ...] = (), targets: tuple[str, ...] = ()) -> Caches:
        return project_caches(self.project(), sources=sources, targets=targets, warn=self.warnings.append)

    def project(self) -> Project:
        return load_project(self.fake.root, arch="x86")

    def records(self) -> list[Record]:
        """This lab's records: those that have its word, and what lies on them."""
        found: dict[str, Record] = {}
        everything = engine_cache().records()
        while True:
            more = [each for each in everything if each.id not in found and self._is_mine(each, found)]
            if not more:
                return list(found.values())
            found.update((each.id, each) for each in more)

    def _is_mine(self, record: Record, found: dict[str, Record]) -> bool:
        if record.type == CACHE_MOUNT:
            return record.description.endswith(f'-{self.token}"')
        return self.token in record.description or bool(found.keys() & set(record.parents))

    def lose(self) -> None:
        """Lose all that the engine has of the builds, also what it imported for them."""
        store = engine_cache()
        for _ in range(5):  # what a solve has just used is let go of a moment after its end
            imported = [each.id for each in store.records() if each.description.startswith("imported sha256:")]
            store.prune([*(each.id for each in self.records()), *imported])
            if not (left := [each for each in self.records() if each.type != CACHE_MOUNT]):
                return
            time.sleep(2)
        pytest.fail(f"these stay: {left}")


@pytest.fixture
def lab(fake: FakeProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    made = Lab(fake, tmp_path_factory.mktemp("lab"))
    yield made
    made.lose()


@pytest.mark.parametrize("kinds", [["registry"], pytest.param(["folder", "registry"], marks=pytest.mark.heavy)])
def test_another_machine_compiles_nothing(lab: Lab, registry: str, tmp_path: Path, kinds: list[str]) -> None:
    """Nor does it from a cache that is made smaller: here all are, however small they were."""
    places = {"registry": f"{registry}/acme/cache:6.12", "folder": f"{tmp_path}/shared, by all"}
    shared = [places[kind] for kind in kinds]
    written = lab.caches(targets=tuple(shared))
    assert "compile" in lab.build(written).ran
    said: list[str] = []
    keep_readable(written.targets, lab.project(), say=said.append, warn=pytest.fail, largest=0)
    assert len(said) == len(shared) and all("those of other builds are left out" in line for line in said)
    lab.lose()
    assert "compile" in lab.build().ran, "what was lost is not lost"
    for source in shared:
        lab.lose()
        result = lab.build(lab.caches(sources=(source,)))
        assert "compile" in result.cached, source
        assert "compile" not in result.ran
        assert lab.warnings == []


def test_a_dead_cache_is_a_warning(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    shared = lab.caches(sources=(DEAD, "./none"), targets=(DEAD, "./file/cache"))
    assert [line.partition(":")[0] for line in lab.warnings] == [
        f"there is no cache in {tmp_path}/none",
        f"no cache is written to {tmp_path}/file/cache",
    ]
    assert "release" in lab.build(shared).ran
    taken, written = lab.warnings
    assert taken.startswith(f"nothing was taken from the cache {DEAD}: ")
    assert written.startswith("the cache was not written to the registry: ")
    assert "connection refused" in taken and "connection refused" in written


@pytest.mark.heavy
@pytest.mark.parametrize("kind", ["folder", "registry"])
def test_export_and_import(lab: Lab, registry: str, kind: str) -> None:
    place = "../exported" if kind == "folder" else f"{registry}/acme/cache"
    for _ in range(3):
        with suppress(Mended):
            return export_and_import(lab, place)
        lab.token, lab.shown = secrets.token_hex(4), io.StringIO()
    pytest.fail("BuildKit lost results each time")


def export_and_import(lab: Lab, place: str) -> None:
    lab.fake.write("lists/x86/modules.list", MAIN_LIST)
    lab.fake.write("lists/x86/modules-extra.list", EXTRA_LIST)
    lab.build()
    exported = export_cache(*lab.builder(), place, caches=NONE)
    lab.check()
    assert exported.ran <= {"source-package"}  # whole: nothing asked for it yet
    lab.lose()
    result = import_cache(*lab.builder(), place, caches=NONE)
    lab.check()
    assert "compile" in result.cached
    assert not result.ran & set(stagenames.STAGES)
    again = lab.build()
    assert not again.ran & {"patched", "configured", "compile", "split", "headers", "kernel-package"}
    moved = "kernel/drivers/net/dummy.ko\n"
    lab.fake.write("lists/x86/modules.list", MAIN_LIST + moved)
    lab.fake.write("lists/x86/modules-extra.list", EXTRA_LIST.replace(moved, ""))
    edited = lab.build()
    assert "split" in edited.ran
    assert "compile" not in edited.ran, "an import brings what a stage reads, not only its name"


def test_where_there_is_no_cache(lab: Lab) -> None:
    builder, context, resolved = lab.builder()
    with pytest.raises(InputError, match="no cache in this folder"):
        import_cache(builder, context, resolved, "./none", caches=NONE)
    with pytest.raises(EngineError, match="does not give this cache"):
        import_cache(builder, context, resolved, DEAD, caches=NONE)
    with pytest.raises(EngineError, match="connection refused"):
        export_cache(builder, context, resolved, DEAD, caches=NONE)


@pytest.mark.heavy
def test_exports_into_one_folder_at_once(base: BaseImage, tmp_path: Path) -> None:
    tags, folder = ("one", "two", "three"), str(tmp_path / "shared")
    word = secrets.token_hex(4)
    running = []
    for tag in tags:
        (tmp_path / tag).mkdir()
        (tmp_path / tag / "Dockerfile").write_text(f"FROM {base.ref}\nRUN echo {word}-{tag} > /{tag}\n")
        (target,) = make_caches((), (folder,), root=tmp_path, tag=tag, warn=pytest.fail).targets
        argv = ["docker", "buildx", "build", "--cache-to", target, "--output", "type=cacheonly", str(tmp_path / tag)]
        running.append(subprocess.Popen(argv, stderr=subprocess.PIPE))
    assert [(process.wait(), process.stderr) for process in running if process.wait() != 0] == []
    assert sorted(folder_tags(Path(folder))) == sorted(tags)
    store = engine_cache()
    for tag in tags:
        made = [record.id for record in store.records() if f"{word}-{tag}" in record.description]
        assert len(store.prune(made)) == len(made) == 1
        (source, *_) = make_caches((folder,), (), root=tmp_path, tag=tag, warn=pytest.fail).sources
        argv = ["docker", "buildx", "build", "--progress", "plain", "--cache-from", source]
        done = subprocess.run(
            [*argv, "--output", "type=cacheonly", str(tmp_path / tag)], capture_output=True, text=True, check=True
        )
        assert re.search(rf"^(#\d+) \[2/2\] RUN echo {word}-{tag} .*\n(\1 .*\n)*\1 CACHED", done.stderr, re.M), (
            done.stderr
        )


def test_a_mount_that_is_lost_costs_no_other_step(fake: FakeProject) -> None:
    """Whatever is pruned, BuildKit must not forget what it has of toolchain and source (`Docker.import_tar`)."""
    if fake.base.ref != bootstrapped_name("trixie"):
        pytest.skip("of a base image that Docker pulled it does")
    fake.build()
    store = Docker().build_cache
    name = f'rosk-obj-x86-{fake.release}"'
    mounts = [record.id for record in store.records() if record.description.endswith(name)]
    assert [record.id for record in store.prune(mounts)] == mounts != []
    fake.write("patches/x86/note.patch", f"--- /dev/null\n+++ b/note\n@@ -0,0 +1 @@\n+{secrets.token_hex(8)}\n")
    built = fake.build()
    assert built.result.ran == {"patched", "compile", "source-package", "release"}


@pytest.mark.heavy
def test_prune_leaves_what_others_made(lab: Lab, tmp_path: Path) -> None:
    word = secrets.token_hex(4)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign/Dockerfile").write_text(
        f"FROM {lab.fake.base.ref} AS compile\n"
        f"RUN --mount=type=cache,id=foreign-{word},target=/c echo {word} > /c/a && echo {word} > /a\n"
        "FROM scratch AS release\nCOPY --from=compile /a /kernel/\n"
    )
    subprocess.run(["docker", "buildx", "build", "-q", tmp_path / "foreign"], check=True, capture_output=True)
    lab.build()
    store = engine_cache()
    mine = {record.id for record in lab.records()}
    pieces = caches.find_pieces(store.records())
    assert not [piece for piece in pieces if piece.record and word in piece.record.description]
    own = [piece for piece in pieces if piece.record and piece.record.id in mine]
    assert {piece.what for piece in own} >= {"kernel source layers", "compiled stages", "packages and images"}
    assert f"object tree of {lab.fake.release}-{lab.token} (x86)" in {piece.what for piece in own}

    told = caches.prune(store, own, caches.choose(own, older_than=None, keep=None, all=True), dry_run=True)
    assert {record.id for record in lab.records()} == mine
    pruned = caches.prune(store, own, caches.choose(own, older_than=None, keep=None, all=True))
    assert (pruned.freed, pruned.left, pruned.stayed) == (told.freed, 0, ())
    assert {each.description.partition("]")[2] for each in lab.records()} <= {f" COPY --from=marker /{lab.token} /"}
    foreign = [record for record in store.records() if word in record.description]
    assert len(foreign) == 2
    store.prune([record.id for record in foreign])


@pytest.mark.heavy
def test_a_result_that_the_engine_lost_is_made_again(fake: FakeProject) -> None:
    """Also where the engine still has a record of it (`builder.engine.again.is_broken`)."""
    store = Docker().build_cache
    before = {record.id for record in store.records()}
    fake.build()
    checksums = (fake.root / "dist/SHA256SUMS").read_text()
    (compiled,) = (
        record.id
        for record in store.records()
        if record.id not in before
        and record.description.startswith("mount / from exec /bin/sh -c python3 -m builder.stages.compile")
    )
    remove_snapshot(compiled)
    lists = [fake.root / f"lists/x86/{name}.list" for name in ("modules", "modules-extra")]
    texts = [path.read_text() for path in lists]
    line = "kernel/drivers/net/dummy.ko\n"
    for path, text in zip(lists, (texts[0] + line, texts[1].replace(line, "")), strict=True):
        path.write_text(text)
    built = fake.build()
    assert {"split", "compile"} <= built.result.ran
    assert "solved once more: failed to solve: " in (fake.root / "dist/build.log").read_text()
    for path, text in zip(lists, texts, strict=True):
        path.write_text(text)
    assert "compile" not in fake.build().result.ran
    assert (fake.root / "dist/SHA256SUMS").read_text() == checksums


def remove_snapshot(id: str) -> None:
    """Remove what a record stands for behind BuildKit's back."""
    sockets = ("/var/run/docker/containerd/containerd.sock", "/run/containerd/containerd.sock")
    socket = next(path for path in sockets if Path(path).exists())
    argv = ["ctr", "--address", socket, "--namespace", "moby", "snapshots", "remove", id]
    subprocess.run(argv, check=True, capture_output=True)
