"""All kernels of a project in one build: what they share runs once, and each is what it is when it is built alone."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import secrets
import tarfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from builder import proof
from builder.build import Built, Order, build_all
from builder.engine.base import BaseImage
from builder.engine.docker import Docker
from builder.engine.events import BuildState
from builder.errors import InputError, VerifyError
from builder.project import Project, load_all, load_project
from builder.releasefolder import find_release
from builder.replan import PROGRAMS
from builder.stagenames import SHARED, shown_stage
from builder.verify.subject import Subject
from builder.view import QuietView
from tests.graph.conftest import CONFIG, EXTRA_LIST, FAKE_TREE, MAIN_LIST, VERSION, FakeProject

pytestmark = pytest.mark.engine

SETTINGS = """\
org: fake{token}
kernel:
  source: tarball
  path: linux.tar
architectures: [x86, arm64]
flavours:
  generic:
    suffix: fake{token}
  cloud:
    architectures: [x86]
    fragments: [config/cloud.config]
    lists: lists/cloud
"""
SOUND = "CONFIG_SND=m\nCONFIG_SND_TIMER=m\n"
NAMES = ["generic-x86", "generic-arm64", "cloud-x86"]


@dataclasses.dataclass
class Solves:
    """What the engine was asked, and what it ran: the steps by their stage and text."""

    plans: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    states: list[BuildState] = dataclasses.field(default_factory=list)

    def steps(self) -> Counter[tuple[str, str]]:
        found: Counter[tuple[str, str]] = Counter()
        for state in self.states:
            # A step that several builds report is one.
            steps = {id(vertex): (stage, vertex) for stage in state.stages.values() for vertex in stage.vertexes}
            for stage, vertex in steps.values():
                if vertex.executed and vertex.completed and not vertex.error and "] RUN " in vertex.name:
                    found[shown_stage(stage.name).partition("@")[0], vertex.name.partition("] ")[2]] += 1
        return found


@pytest.fixture
def solves(monkeypatch: pytest.MonkeyPatch) -> Solves:
    return watched(monkeypatch)


def watched(monkeypatch: pytest.MonkeyPatch) -> Solves:
    found = Solves()
    bake = Docker.bake

    def counted(self: Docker, plan: dict[str, Any], *, epoch: int, on_output: Callable[[str], None]) -> dict[str, Any]:
        state = BuildState()

        def follow(line: str) -> None:
            state.feed(line.encode())
            on_output(line)

        found.plans.append(plan)
        found.states.append(state)
        return bake(self, plan, epoch=epoch, on_output=follow)

    monkeypatch.setattr(Docker, "bake", counted)
    return found


@dataclasses.dataclass(frozen=True)
class Matrix:
    """A project with flavours, all of it built once."""

    project: FakeProject
    done: Mapping[str, Built]
    first: Solves

    def build(self) -> dict[str, Built]:
        return build(self.project)

    def kernel(self, name: str) -> Path:
        return self.project.root / ("dist" if name == "generic-x86" else f"dist/{name}") / "kernel"

    def files(self) -> dict[str, bytes]:
        return {f"{name}/{path.name}": path.read_bytes() for name in NAMES for path in self.kernel(name).iterdir()}


def build(fake: FakeProject, projects: tuple[Project, ...] = (), scope: str = "") -> dict[str, Built]:
    view = QuietView(Console(file=io.StringIO()))
    loaded = projects or load_all(fake.root)
    orders = [Order(project=project, command=("rosk", "build", project.name)) for project in loaded]
    done = build_all(orders, Docker(), fake.base, view=view, scope=scope)
    return {project.name: built for project, built in zip(loaded, done, strict=True)}


@pytest.fixture(scope="module")
def matrix(base: BaseImage, tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    project = FakeProject(tmp_path_factory.mktemp("matrix"), base)
    token = secrets.token_hex(4)
    project.write("config/rosk.yaml", SETTINGS.format(token=token))
    project.write("config/cloud.config", SOUND.replace("=m", "=n"))
    project.write("lists/cloud/x86/modules-extra.list", re.sub(r"kernel/sound.*\n", "", EXTRA_LIST))
    for arch in ("x86", "arm64"):
        project.write(f"config/{arch}/kernel-config", CONFIG)
        project.write(f"lists/{arch}/modules.list", MAIN_LIST)
        project.write(f"lists/{arch}/modules-extra.list", EXTRA_LIST)
    note = project.root / "note"
    note.write_text(token)
    with tarfile.open(project.root / "linux.tar", "w") as tar:
        tar.add(FAKE_TREE, f"linux-{VERSION}")
        tar.add(note, f"linux-{VERSION}/{token}")  # a source that no cache has
    with pytest.MonkeyPatch.context() as patched:
        solves = watched(patched)
        done = build(project)
    return Matrix(project, done, solves)


def test_what_they_share_runs_once(matrix: Matrix) -> None:
    assert list(matrix.done) == NAMES
    steps = matrix.first.steps()
    assert {text: number for (stage, text), number in steps.items() if stage in SHARED and number > 1} == {}
    assert sum(number for (stage, _), number in steps.items() if stage == "source") == 2  # and its journal
    assert sum(number for (stage, _), number in steps.items() if stage == "patched") == 1
    assert sum(number for (stage, _), number in steps.items() if stage == "compile") == 3
    for built in matrix.done.values():
        assert {"compile", "split"} <= built.result.ran


def test_one_solve_has_all(matrix: Matrix) -> None:
    whole = [plan for plan in matrix.first.plans if any(name.endswith("_release") for name in plan["target"])]
    assert [{name.partition("_")[0] for name in plan["target"]} - {PROGRAMS} for plan in whole] == [set(NAMES)]


def test_each_has_its_name_and_its_folder(matrix: Matrix) -> None:
    org = load_project(matrix.project.root, arch="x86").org
    found = {name: find_release(matrix.kernel(name).parent) for name in NAMES}
    assert {name: (each.v, each.a) for name, each in found.items()} == {
        "generic-x86": (f"{VERSION}-{org}", "x86"),
        "generic-arm64": (f"{VERSION}-{org}", "arm64"),
        "cloud-x86": (f"{VERSION}-{org}-cloud", "x86"),
    }
    assert [tag.rpartition(":")[2] for tag in found["cloud-x86"].images] == [f"{VERSION}-{org}-cloud"] * 3
    assert [tag.rpartition(":")[2] for tag in found["generic-arm64"].images] == [f"{VERSION}-{org}_arm64"] * 3


def test_a_flavour_has_its_own_options_and_lists(matrix: Matrix) -> None:
    config = {name: (matrix.kernel(name) / "config").read_text() for name in NAMES}
    assert "CONFIG_SND=m\n" in config["generic-x86"]
    assert "# CONFIG_SND is not set\n" in config["cloud-x86"]
    extra = {name: (matrix.kernel(name) / "modules-extra.list").read_text() for name in NAMES}
    assert "kernel/sound/core/snd.ko" in extra["generic-arm64"]
    assert "sound" not in extra["cloud-x86"]
    for name in NAMES:
        checks = json.loads((matrix.kernel(name).parent / "verify.json").read_text())["checks"]
        assert [check["name"] for check in checks if check["status"] == "failed"] == []


@pytest.mark.heavy
def test_each_is_what_it_is_alone(matrix: Matrix, tmp_path: Path) -> None:
    for flavour, arch in (("generic", "arm64"), ("cloud", "x86")):
        alone = dataclasses.replace(
            load_project(matrix.project.root, arch=arch, flavour=flavour), dist=tmp_path / flavour
        )
        (built,) = build(matrix.project, (alone,), scope=secrets.token_hex(4)).values()
        assert "compile" in built.result.ran
        together = matrix.done[alone.name].manifest
        assert (built.manifest["outputs"], built.manifest["images"]) == (together["outputs"], together["images"])


def test_the_logs_are_apart(matrix: Matrix) -> None:
    logs = {name: (matrix.kernel(name).parent / "build.log").read_text() for name in NAMES}
    for name in NAMES:
        assert f"[compile@{name}]" in logs[name]
        assert not any(f"@{other}]" in logs[name] for other in NAMES if other != name and "compile" in other)


def test_nothing_changed(matrix: Matrix, solves: Solves) -> None:
    """Of any; or of all but one, which is built alone then."""
    before = matrix.files()
    again = matrix.build()
    assert solves.plans == []
    assert {name: built.manifest for name, built in again.items()} == {
        name: built.manifest for name, built in matrix.done.items()
    }
    matrix.project.edit("config/cloud.config", lambda text: text + "# a comment\n")
    again = matrix.build()
    assert solves.plans
    assert {target for plan in solves.plans for target in plan["target"]} <= {
        *("release", "source-file", "os-extras", "os-headers", "os-kernel"),
    }
    assert [name for name, built in again.items() if built.result.ran] in ([], ["cloud-x86"])
    assert {name: data for name, data in matrix.files().items() if "generic" in name} == {
        name: data for name, data in before.items() if "generic" in name
    }


def test_a_failure_of_one_changes_none(matrix: Matrix) -> None:
    """The others' own changes are not taken over either."""
    before, lists = matrix.files(), "lists/cloud/x86/modules-extra.list"
    text = (matrix.project.root / lists).read_text()
    matrix.project.write(lists, text.replace("kernel/drivers/net/dummy.ko\n", ""))
    matrix.project.edit("lists/x86/modules.list", lambda old: old + "# more\n")
    try:
        with pytest.raises(InputError, match=r"cloud-x86: ") as caught:
            matrix.build()
    finally:
        matrix.project.write(lists, text)
        matrix.project.edit("lists/x86/modules.list", lambda old: old.removesuffix("# more\n"))
    assert matrix.files() == before
    assert any("kernel/drivers/net/dummy.ko" in line for line in (caught.value.what, *caught.value.details))
    for name in ("generic-x86", "cloud-x86"):  # nothing was to be built of the third
        assert f"error: {caught.value}" in (matrix.kernel(name).parent / "build.log").read_text()


def test_one_that_fails_a_check_keeps_all_from_their_places(matrix: Matrix, monkeypatch: pytest.MonkeyPatch) -> None:
    before, check = matrix.files(), proof.check_release

    def refuse(folder: Path, dist: Path, *, code: str, ahead: Subject | None) -> None:
        check(folder, dist, code=code, ahead=ahead)
        if dist.name == "cloud-x86":
            raise VerifyError("it does not pass")

    monkeypatch.setattr(proof, "check_release", refuse)
    for arch in ("x86", "arm64"):
        matrix.project.edit(
            f"config/{arch}/kernel-config", lambda old: old.replace("CONFIG_DUMMY=m\n", "CONFIG_DUMMY=y\n")
        )
    try:
        with pytest.raises(VerifyError):
            matrix.build()
    finally:
        for arch in ("x86", "arm64"):
            matrix.project.edit(
                f"config/{arch}/kernel-config", lambda old: old.replace("CONFIG_DUMMY=y\n", "CONFIG_DUMMY=m\n")
            )
    assert matrix.files() == before
