"""Several builds at once: their plans have their names, and what is reported is told apart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from builder import graph, replan, stagenames
from builder.build import shown_result
from builder.buildlog import BuildLog, JointLog
from builder.cachespec import Caches
from builder.cachetransfer import project_caches
from builder.engine.docker import SolveError
from builder.engine.events import BuildResult, BuildState, LogLine, StageDone
from builder.errors import InputError
from builder.failure import explain
from builder.joint import JointBuilder, Member, _solve
from builder.project import load_all
from builder.replan import PROGRAMS, joined, renamed
from builder.report.timeline import timeline
from builder.stages.common import MARK
from builder.summing import Sums
from tests.unit.projects import SETTINGS, write_project
from tests.unit.test_graph import CONTEXT, RESOLVED

TWO = SETTINGS + "flavours:\n  generic: {}\n  cloud: {}\n"
CLOUD, GENERIC = "cloud-x86", "generic-x86"


@pytest.fixture(autouse=True)
def x86_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


def plans(root: Path) -> dict[str, dict[str, object]]:
    projects = load_all(write_project(root, **{"config/rosk.yaml": TWO}))
    return {
        project.name: graph.build_plan(project, CONTEXT, RESOLVED, output=Path("/out", project.name))
        for project in projects
    }


def test_one_plan_of_several(tmp_path: Path) -> None:
    separate = plans(tmp_path)
    whole = joined(separate)
    renamed_targets = {
        name: target for each in separate for name, target in renamed(each, separate[each])["target"].items()
    }
    assert list(whole["target"]) == [PROGRAMS, *renamed_targets]
    assert whole["group"]["default"]["targets"] == list(whole["target"])
    for name, target in renamed_targets.items():
        contexts = {**target["contexts"], PROGRAMS: f"target:{PROGRAMS}"}
        assert whole["target"][name] == {**target, "contexts": contexts}
    programs = whole["target"][PROGRAMS]
    assert (programs["target"], programs["output"]) == (PROGRAMS, ["type=cacheonly"])
    assert not {"tags", "secret", "cache-to"} & programs.keys()
    assert plans(tmp_path) == separate


def test_a_plan_of_one_of_several(tmp_path: Path) -> None:
    separate = plans(tmp_path)
    own = renamed(CLOUD, separate[CLOUD])
    assert list(own["target"]) == [f"{CLOUD}_{target}" for target in ("release", *graph.IMAGES)]
    assert own["group"]["default"]["targets"] == list(own["target"])
    assert own["target"][f"{CLOUD}_os-kernel"] == separate[CLOUD]["target"]["os-kernel"]  # type: ignore[index]
    both = [*own["target"].values(), *renamed(GENERIC, separate[GENERIC])["target"].values()]
    tags = [tag for target in both for tag in target.get("tags", ())]
    assert len(set(tags)) == len(tags) == 6


def test_afresh_knows_the_images_of_several(tmp_path: Path) -> None:
    fresh = replan.afresh(renamed(CLOUD, plans(tmp_path)[CLOUD]), "word")
    assert fresh["target"][f"{CLOUD}_os-kernel"]["no-cache-filter"] == ["os-kernel"]


def joint(root: Path, settings: str) -> JointBuilder:
    """The builder of all kernels of a project; it solves nothing."""
    projects = load_all(write_project(root, **{"config/rosk.yaml": settings}))
    members = [Member(builder=SimpleNamespace(project=each), context=CONTEXT) for each in projects]  # type: ignore[arg-type]
    return JointBuilder(members=members, lead=members[0].builder, sums=Sums(), until={})


def test_builds_wait_for_each_other_in_one_order(tmp_path: Path) -> None:
    """By their tags: in another checkout, another kernel may have the same."""
    one = joint(tmp_path / "a", SETTINGS + "flavours:\n  b: {suffix: acme-x}\n  c: {suffix: acme-y}\n")
    other = joint(tmp_path / "b", SETTINGS + "flavours:\n  c: {suffix: acme-x}\n  b: {suffix: acme-y}\n")
    assert [tag for tag, _ in one._in_order(RESOLVED)] == [tag for tag, _ in other._in_order(RESOLVED)]
    assert [each.name for _, each in other._in_order(RESOLVED)] == ["c-x86", "b-x86"]


def test_two_kernels_of_the_same_tags(tmp_path: Path) -> None:
    """`acme_arm64` for x86 and `acme` for arm64: one would wait for the other for ever."""
    same = joint(tmp_path, SETTINGS + "flavours:\n  a: {suffix: acme-x}\n")
    with pytest.raises(InputError, match="the same tags"):
        replace(same, members=[*same.members, *same.members])._in_order(RESOLVED)


class Lead:
    """Stands in for the builder that solves; it notes what."""

    def __init__(self, *, remote: bool = False, brings_all: bool = False, sources: tuple[str, ...] = ()) -> None:
        self.engine = SimpleNamespace(remote=remote, brings_all=brings_all)
        self.caches = Caches(sources=sources)
        self.solved: list[list[str]] = []

    def solve(self, plan: Mapping[str, Any], *, epoch: int) -> tuple[BuildState, dict[str, Any]]:
        self.solved.append(list(plan["target"]))
        return vertexes((f"{self.solved[-1][-1]} compile", "")), dict.fromkeys(plan["target"], epoch)


@pytest.mark.parametrize(
    ("given", "solves"),
    [({}, 1), ({"remote": True}, 2), ({"brings_all": True}, 2), ({"sources": ("type=registry,ref=a",)}, 2)],
)
def test_several_are_one_solve_where_their_steps_can_be_the_same(
    tmp_path: Path, given: dict[str, Any], solves: int
) -> None:
    lead = Lead(**given)
    result, metadata = _solve(lead, plans(tmp_path), 7)  # type: ignore[arg-type]
    assert len(lead.solved) == solves
    targets = {f"{name}_{target}" for name in (CLOUD, GENERIC) for target in ("release", *graph.IMAGES)}
    assert {name for solve in lead.solved for name in solve} - {PROGRAMS} == targets
    assert targets <= metadata.keys()
    assert len(result.ran) == solves
    one = {CLOUD: plans(tmp_path)[CLOUD]}
    _solve(lead, one, 7)  # type: ignore[arg-type]
    assert lead.solved[-1] == list(one[CLOUD]["target"])  # type: ignore[call-overload]


def vertexes(*steps: tuple[str, str]) -> BuildState:
    """A solve that ran these steps (the words in brackets, and an error or an empty string)."""
    state = BuildState()
    for number, (words, error) in enumerate(steps):
        vertex: Mapping[str, object] = {
            "digest": f"sha256:{number}",
            "name": f"[{words} 2/2] RUN x",
            "inputs": ["sha256:a"],
            "started": "2026-01-01T00:00:01Z",
            "completed": "2026-01-01T00:00:03Z",
            "error": error,
        }
        state.feed((json.dumps({"vertexes": [vertex]}) + "\n").encode())
    return state


def test_stages_have_the_name_of_their_build() -> None:
    state = vertexes(
        (f"{CLOUD}_release compile", ""), (f"{GENERIC}_release linux/amd64->arm64 split", ""), ("split", "")
    )
    assert list(state.stages) == [f"compile@{CLOUD}", f"split@{GENERIC}", "split"]


def test_what_is_shown_of_several() -> None:
    assert stagenames.shown_stage(f"os-extras-root@{CLOUD}") == f"os-extras@{CLOUD}"
    assert stagenames.shown_stage(f"source-tree@{CLOUD}") == "source"
    titles = stagenames.titles([GENERIC, CLOUD])
    assert titles[f"compile@{CLOUD}"] == f"{CLOUD}: compile"
    assert "source" in titles and f"source@{CLOUD}" not in titles and "compile" not in titles
    assert stagenames.titles([CLOUD]) == stagenames.STAGES
    assert stagenames.STAGES.keys() >= stagenames.SHARED


def test_a_build_has_its_own_stages_and_the_shared() -> None:
    ran = frozenset({f"compile@{CLOUD}", f"split@{GENERIC}", f"source-tree@{GENERIC}"})
    result = BuildResult(ran=ran, cached=frozenset({f"split@{CLOUD}"}), failed=frozenset())
    mine = shown_result(result, name=CLOUD)
    assert mine.ran == {"compile", "source"}
    assert mine.cached == {"split"}
    assert shown_result(result, name=GENERIC).ran == {"split", "source"}


def test_a_timeline_of_one_of_several() -> None:
    state = vertexes(
        (f"{CLOUD}_release compile", ""), (f"{GENERIC}_release split", ""), (f"{GENERIC}_release source-tree", "")
    )
    assert [stage.name for stage in timeline([state], CLOUD)] == ["source", "compile"]
    assert [stage.name for stage in timeline([state], GENERIC)] == ["source", "split"]


def test_each_log_has_what_is_its_own(tmp_path: Path) -> None:
    paths = {name: tmp_path / f"{name}.log" for name in (CLOUD, GENERIC)}
    cloud = BuildLog(tmp_path / "1", paths[CLOUD])
    generic = BuildLog(tmp_path / "2", paths[GENERIC])
    with cloud, generic:
        both = JointLog({CLOUD: cloud, GENERIC: generic})
        both.event(LogLine(stage=f"compile@{CLOUD}", text="of cloud"))
        both.event(StageDone(stage=f"source-tree@{GENERIC}", seconds=1.0))
        both.event(LogLine(stage="", text="of nobody"))
        both.line("to both")
    assert paths[CLOUD].read_text().splitlines() == [
        f"[compile@{CLOUD}] of cloud",
        f"[source-tree@{GENERIC}] done in 1.0 s",
        "[] of nobody",
        "to both",
    ]
    assert "of cloud" not in paths[GENERIC].read_text()
    assert "to both" in paths[GENERIC].read_text()


def test_an_error_says_whose_it_is(tmp_path: Path) -> None:
    generic, cloud = load_all(write_project(tmp_path, **{"config/rosk.yaml": TWO}))
    others = {project.name: project for project in (generic, cloud)}
    cloud.dist.mkdir(parents=True)
    failed = explain(
        generic,
        vertexes((f"{CLOUD}_release compile", "exit code: 2")),
        SolveError("failed to solve"),
        others=others,
    )
    assert failed.what.startswith(f"{CLOUD}: the stage compile (compile) failed")
    assert failed.hint == f"the whole log is in dist/{CLOUD}/build.log"


def test_an_error_of_a_stages_own_words(tmp_path: Path) -> None:
    generic, cloud = load_all(write_project(tmp_path, **{"config/rosk.yaml": TWO}))
    cloud.dist.mkdir(parents=True)
    state = vertexes((f"{CLOUD}_release split", ""))
    state.errors.append(
        {
            "event": "error",
            "what": "x.ko is in no list",
            "where": "lists/modules.list",
            "line": 3,
            "stage": f"split@{CLOUD}",
        }
    )
    error = explain(generic, state, SolveError("failed"), others={GENERIC: generic, CLOUD: cloud})
    assert error.what == f"{CLOUD}: x.ko is in no list"
    assert (str(error.where), error.line) == ("lists/x86/modules.list", 3)
    assert MARK not in error.what


@pytest.mark.parametrize(
    ("entry", "references"),
    [
        ("r.example/acme/cache:6.12", ["r.example/acme/cache:6.12-cloud-x86", "r.example/acme/cache:6.12"]),
        ("localhost:5000/cache", ["localhost:5000/cache:cloud-x86", "localhost:5000/cache"]),
    ],
)
def test_no_kernel_replaces_anothers_cache(tmp_path: Path, entry: str, references: list[str]) -> None:
    generic, cloud = load_all(write_project(tmp_path, **{"config/rosk.yaml": TWO}))
    caches = project_caches(cloud, sources=[entry], targets=[entry, str(tmp_path / "cache")], warn=pytest.fail)
    assert [source.rpartition("ref=")[2] for source in caches.sources] == references
    assert f"ref={references[0]}," in caches.targets[0]
    folders = [project_caches(each, targets=[str(tmp_path / "cache")], warn=pytest.fail) for each in (generic, cloud)]
    assert folders[0].targets != folders[1].targets
    assert [f"ref={entry}," in each for each in project_caches(generic, targets=[entry], warn=pytest.fail).targets] == [
        True
    ]
