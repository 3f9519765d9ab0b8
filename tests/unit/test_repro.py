"""What `rosk repro` refuses, how it keeps the second build apart, and what it says; the rest is in tests/graph."""

from __future__ import annotations

import fcntl
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from builder import graph, release, replan, stagenames
from builder.build import Built
from builder.context import dockerfiles
from builder.differ import Difference
from builder.engine.base import BaseImage
from builder.engine.events import BuildResult
from builder.errors import BuildError, EngineError, InputError, InterruptedBuild, ReproError, RoskError, VerifyError
from builder.graph import Context, Resolved
from builder.inputs.fetch import default_cache
from builder.project import Project, load_project
from builder.repro import differences, rebuild
from builder.repro import run as repro
from builder.repro.differences import look_into
from builder.repro.model import REPORT, Proof, ReproOptions
from builder.repro.preconditions import check_base, check_keep, check_unchanged, known_causes, read_manifest
from builder.repro.rebuild import second_project
from builder.settings import Cache
from builder.view import QuietView
from tests.unit.projects import commit_release, write_project

V = "6.12.64-acme"
HEAD = re.compile(r"^FROM (?:--\S+ )?(\S+) AS (\S+)$", re.M).findall
BASE = BaseImage(ref="b", id="sha256:1", origin="local")
RESOLVED = Resolved(
    kernel_version="6.12.64", epoch=1, packages={"gcc": "14", "make": "4"}, base=BASE.ref, base_digest=BASE.id
)
CONTEXT = Context(folder=Path("/context"), dockerfile=Path("/kernel.Dockerfile"), source=Path("/source"))


class Engine:
    """Stands in for the engine: images and scopes that are left in it."""

    def __init__(self) -> None:
        self.images = {f"acme/{name}:{V}": f"sha256:{name}" for name in graph.IMAGES}
        self.dropped: list[str] = []
        self.busy = False

    def tags(self, org: str) -> list[str]:
        return [tag for tag in self.images if tag.startswith(f"{org}/")]

    def untag(self, reference: str) -> None:
        del self.images[reference]

    def image_id(self, reference: str) -> str | None:
        return self.images.get(reference)

    def save(self, reference: str, tar: Path) -> None:
        raise EngineError(f"cannot save {reference}")

    def drop_cache_mounts(self, scope: str) -> None:
        if self.busy:
            raise EngineError("in use")
        self.dropped.append(scope)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROSK_CACHE", str(tmp_path / "cache"))
    return default_cache()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project")


@pytest.fixture
def project(root: Path) -> Project:
    loaded = load_project(root, arch="x86")
    write_release(loaded, {})
    return loaded


def write_release(project: Project, contents: dict[str, str], resolved: Resolved = RESOLVED) -> dict[str, Any]:
    """Make a release of `project.dist`; `contents` are those of files that are not just their names."""
    with release.staging(project.dist) as folder:
        (folder / "kernel").mkdir()
        for name in release.file_names(project, V):
            text = "CONFIG_IKHEADERS=y\n" if name == "config" else f"{name}\n"
            (folder / "kernel" / name).write_text(contents.get(name, text))
        (folder / "build.log").write_text("log\n")
        (folder / "build.log").rename(project.dist / "build.log")
        images = {project.image(name, V): f"sha256:{name}{contents.get(name, '')}" for name in graph.IMAGES}
        command = ("rosk", "build", "--arch", "x86", "--kernel", "6.12.64")
        return commit_release(project, resolved, folder, images=images, command=command)


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets what the second build gives: changed contents, another toolchain, or an error."""

    def given(contents: dict[str, str] | None = None, *, error: BaseException | None = None, **changed: Any) -> None:
        def build(project: Project, engine: Engine, *_: object, scope: str, fresh: bool, **__: object) -> Built:
            assert fresh and scope == project.org
            project.dist.mkdir(exist_ok=True)
            (project.dist / "build.log").write_text("the second log\n")
            engine.images |= {project.image(name, V): f"sha256:{name}" for name in graph.IMAGES}
            if error:
                raise error
            manifest = write_release(project, contents or {}, replace(RESOLVED, **changed))
            ran = BuildResult(ran=frozenset(), cached=frozenset(), failed=frozenset())
            return Built(manifest=manifest, images=(), notices=(), result=ran, compiled={})

        monkeypatch.setattr(rebuild, "build", build)

    return given


def prove(project: Project, engine: Engine, notes: list[str] | None = None, **options: Any) -> Proof:
    return repro.prove(
        project,
        engine,  # type: ignore[arg-type]
        BASE,
        read_manifest(project),
        ReproOptions(**options),
        view=QuietView(Console(file=io.StringIO())),
        note=(notes if notes is not None else []).append,
    )


def listed(dist: Path) -> set[str]:
    return {str(path.relative_to(dist)) for path in dist.rglob("*")}


def test_without_a_release_there_is_nothing_to_prove(root: Path) -> None:
    with pytest.raises(InputError, match="no release") as caught:
        read_manifest(load_project(root, arch="x86"))
    assert caught.value.hint == "run `rosk build` first"


@pytest.mark.parametrize("text", ["{", "{}", "[]", '"x"'])
def test_a_manifest_that_is_none(project: Project, text: str) -> None:
    (project.dist / "manifest.json").write_text(text)
    with pytest.raises(InputError, match="no manifest"):
        read_manifest(project)


def test_a_project_as_it_was(project: Project, root: Path) -> None:
    check_unchanged(project, read_manifest(project))
    settings = root / "config/rosk.yaml"
    settings.write_text(settings.read_text().replace("localhost:5001", "localhost:5009") + "# a comment\n")
    check_unchanged(load_project(root, arch="x86"), read_manifest(project))


@pytest.mark.parametrize(
    ("file", "text", "change"),
    [
        ("config/x86/kernel-config", "CONFIG_64BIT=y\nCONFIG_SMP=y\n", "config/x86/kernel-config has changed"),
        ("lists/x86/modules.list", "", "lists/x86/modules.list has changed"),
        ("lists/x86/firmware.list", "a\n", "lists/x86/firmware.list is new"),
        ("patches/x86/0001-a.patch", None, "patches/0001-a.patch is gone"),
    ],
)
def test_changed_inputs_are_named(project: Project, root: Path, file: str, text: str | None, change: str) -> None:
    if text is None:
        (root / file).unlink()
    else:
        (root / file).write_text(text)
    with pytest.raises(InputError, match="not what the release in dist was built from") as caught:
        check_unchanged(load_project(root, arch="x86"), read_manifest(project))
    assert caught.value.details == (change,)
    assert caught.value.hint.endswith("run `rosk repro --arch x86 --kernel 6.12.64`")


def test_changed_settings_are_named(project: Project, root: Path) -> None:
    settings = root / "config/rosk.yaml"
    settings.write_text(settings.read_text().replace("6.12.64", "6.12.65") + "suffix: other\n")
    with pytest.raises(InputError) as caught:
        check_unchanged(load_project(root, arch="x86"), read_manifest(project))
    assert caught.value.details == (
        "the source was linux-6.12.64 from kernel.org and is linux-6.12.65 from kernel.org",
        'the setting kernel.version was "6.12.64" and is "6.12.65"',
        'the setting suffix was null and is "other"',
    )


def test_another_base_image_is_refused(project: Project) -> None:
    manifest = read_manifest(project)
    check_base(BASE, manifest)
    with pytest.raises(InputError, match="base image"):
        check_base(replace(BASE, id="sha256:2"), manifest)


def test_a_damaged_release_is_refused(project: Project) -> None:
    (project.dist / "kernel/config").write_text("damaged\n")
    with pytest.raises(InputError, match="not the file that was built"):
        prove(project, Engine())
    assert not [name for name in listed(project.dist) if name.startswith(".rosk-")]


def test_the_second_project_builds_the_same_elsewhere(project: Project, tmp_path: Path) -> None:
    other = second_project(project, tmp_path / "dist", "repro-1", toolchain=False)
    plans = [graph.build_plan(each, CONTEXT, RESOLVED, output=Path("/out")) for each in (project, other)]
    assert plans[0]["target"]["release"] == plans[1]["target"]["release"]
    assert plans[1]["target"]["os-kernel"]["tags"] == [f"repro-1/os-kernel:{V}"]
    assert other.settings.cache == Cache()


def test_a_toolchain_taken_anew_is_another_word(project: Project, tmp_path: Path) -> None:
    other = second_project(project, tmp_path / "dist", "repro-1", toolchain=True)
    args = graph.build_plan(other, CONTEXT, RESOLVED, output=Path("/out"))["target"]["release"]["args"]
    assert args["DEBIAN_AS_OF"] == "repro-1"


def test_every_stage_but_the_inputs_runs_again() -> None:
    text = (dockerfiles() / "kernel.Dockerfile").read_text()
    stages = re.split(r"^(?=FROM )", text, flags=re.M)[1:]
    blocks = {name: (base, stage) for stage in stages for base, name in HEAD(stage)}

    def words(name: str) -> set[str]:
        base, block = blocks.get(name, ("", ""))
        return set(re.findall(r"^ARG (FRESH|CACHE_SCOPE)=$", block, re.M)) | (words(base) if base else set())

    for name, (_, block) in blocks.items():
        # Debian's firmware packages are an input, as its compiler is.
        inputs = ("tools", "toolchain", "source")
        if stagenames.shown_stage(name) in inputs or name in ("compile-log-read", "firmware-fetched"):
            continue
        assert words(name) or "\nRUN " not in block, f"{name} would come from the cache"
        assert "CACHE_SCOPE" in words(name) or "type=cache" not in block, f"{name} would find a cache that is full"


def test_images_are_copied_again(project: Project) -> None:
    plan = graph.build_plan(project, CONTEXT, RESOLVED, output=Path("/out"), scope="x")
    targets = replan.afresh(plan, "word")["target"]
    assert {target["args"]["FRESH"] for target in targets.values()} == {"word"}
    assert {name: target["no-cache-filter"] for name, target in targets.items() if "no-cache-filter" in target} == {
        name: [name] for name in graph.IMAGES
    }
    # BuildKit empties the cache mounts of what it is told to run again: an image has none, and runs nothing.
    text = (dockerfiles() / "kernel.Dockerfile").read_text()
    for name in graph.IMAGES:
        (block,) = re.findall(rf"^FROM scratch AS {name}\n((?:(?!FROM ).*\n)*)", text, re.M)
        assert "RUN" not in block and "--mount" not in block


def test_equal_builds(project: Project, second: Callable[..., None]) -> None:
    second()
    (project.dist / REPORT).write_text("of an earlier run\n")
    engine = Engine()
    proof = prove(project, engine)
    assert proof.reproducible and not proof.inputs and not proof.differences
    assert {each.name for each in proof.compared} >= {"kernel/config", f"acme/os-kernel:{V}"}
    names = {"kernel", *release.NAMES, "build.log"}
    assert {path.name for path in project.dist.iterdir()} == names
    assert list(engine.images) == [f"acme/{name}:{V}" for name in graph.IMAGES]
    assert len(engine.dropped) == 1
    assert not list((default_cache() / "repro").iterdir())


def test_different_builds(project: Project, second: Callable[..., None]) -> None:
    second({"config": "CONFIG_IKHEADERS=n\n", "os-kernel": "2"}, packages={"gcc": "15", "ld": "1"})
    proof = prove(project, Engine())
    assert not proof.reproducible
    assert [each.name for each in proof.compared if not each.same] == ["kernel/config", f"acme/os-kernel:{V}"]
    assert proof.inputs == (
        "the toolchain's package gcc was 14 and is 15 now",
        "the toolchain's package ld was absent and is 1 now",
        "the toolchain's package make was 4 and is absent now",
    )
    assert [str(each) for each in proof.differences] == [
        'config: content (19 bytes), first at byte 17, line 1: "CONFIG_IKHEADERS=y" became "CONFIG_IKHEADERS=n"',
        f"image os-kernel: differs; the engine cannot save it (cannot save acme/os-kernel:{V})",
    ]
    report = (project.dist / REPORT).read_text().splitlines()
    assert report[0] == "input: the toolchain's package gcc was 14 and is 15 now"
    assert "    +CONFIG_IKHEADERS=n" in report


def test_an_image_that_was_built_again_meanwhile(project: Project, second: Callable[..., None]) -> None:
    second({"os-kernel": "2"})
    engine = Engine()
    del engine.images[f"acme/os-kernel:{V}"]
    (found,) = prove(project, engine).differences
    assert found.what == "differs; the first one is not in the engine any more"


def test_what_is_kept_has_the_projects_names(project: Project, second: Callable[..., None], tmp_path: Path) -> None:
    second()
    prove(project, Engine(), keep=tmp_path / "kept")
    kept = json.loads((tmp_path / "kept/manifest.json").read_text())
    first = read_manifest(project)
    assert (kept["images"], kept["settings"], kept["outputs"]) == (first["images"], first["settings"], first["outputs"])
    (tmp_path / "kept/kernel/config").write_text("edited\n")
    assert (project.dist / "kernel/config").read_text() == "CONFIG_IKHEADERS=y\n"


def test_a_folder_that_is_in_use_is_not_written_to(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="empty"):
        check_keep(tmp_path.parent)
    check_keep(tmp_path / "new")
    check_keep(None)


@pytest.mark.parametrize(
    ("error", "left"),
    [
        (BuildError("no", hint="the whole log is in dist/build.log"), {REPORT: "the second log\n"}),
        (
            VerifyError("no", hint="what was built is in dist/.rosk-x/second/rejected"),
            {REPORT: "the second log\n"},
        ),
        (InterruptedBuild("stopped"), {}),
    ],
)
def test_a_second_build_that_fails_leaves_its_log_only(
    project: Project, second: Callable[..., None], error: RoskError, left: dict[str, str]
) -> None:
    second(error=error)
    before, engine = listed(project.dist), Engine()
    with pytest.raises(type(error)) as caught:
        prove(project, engine)
    assert "dist/build.log" not in caught.value.hint and ".rosk-" not in caught.value.hint
    assert listed(project.dist) == before | set(left)
    assert all((project.dist / name).read_text() == text for name, text in left.items())
    assert engine.dropped and not engine.tags("repro-")
    assert list(engine.images) == [f"acme/{name}:{V}" for name in graph.IMAGES]


def test_what_could_not_be_cleaned_up_is_left_to_the_next_run(project: Project, second: Callable[..., None]) -> None:
    second()
    engine, notes = Engine(), list[str]()
    engine.busy = True
    assert prove(project, engine, notes).reproducible
    assert "in use" in notes[0]
    (left,) = (default_cache() / "repro").iterdir()
    engine.busy = False
    with left.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        prove(project, engine)
        assert left.exists() and left.name not in engine.dropped
    prove(project, engine)
    assert left.name in engine.dropped
    assert not list((default_cache() / "repro").iterdir())


def test_what_the_config_is_known_for(project: Project) -> None:
    (notice,) = known_causes(project, read_manifest(project))
    assert notice.startswith("CONFIG_IKHEADERS=y ")


def run(project: Project, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Proof:
    monkeypatch.setattr(repro, "prepare_for", lambda *_, **__: (Engine(), BASE))
    return repro.run_repro(project, ReproOptions(**options))


def test_the_table_of_equal_builds(
    project: Project,
    second: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    second()
    assert run(project, monkeypatch).reproducible
    shown = capsys.readouterr().out
    digest = release.describe(project.dist / "kernel/config")["sha256"]
    assert f"  same     sha256:{digest}  kernel/config\n" in shown
    assert "takes as long as" in shown and "CONFIG_IKHEADERS=y makes no two builds equal" in shown
    assert "The release is reproducible" in shown


def test_the_result_of_different_builds(
    project: Project,
    second: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    second({"modules-main.list": "".join(f"{number}\n" for number in range(60))})
    with pytest.raises(ReproError, match="1 of 10 files and images") as caught:
        run(project, monkeypatch, as_json=True)
    assert caught.value.exit_code == 9
    assert caught.value.details[0].startswith("known cause: CONFIG_IKHEADERS=y")
    assert caught.value.details[1].startswith("modules-main.list: content (18 bytes became 170)")
    assert len(caught.value.details) < 20
    result = json.loads(capsys.readouterr().out)
    assert result["reproducible"] is False
    assert result["differences"][0]["where"] == ["modules-main.list"]
    assert len(Path(result["report"]).read_text().splitlines()) > 60


def write_diffoscope(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> Difference:
    program = folder / "bin/diffoscope"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    for name in ("one", "two"):
        (folder / name).write_text(name)
    return Difference(where=("a",), what="content", first=folder / "one", second=folder / "two")


@pytest.mark.host_programs
def test_diffoscope_says_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    difference = write_diffoscope(tmp_path, 'echo "$@"; exit 1', monkeypatch)
    (line,) = look_into(difference)
    assert line == f"--no-progress --max-text-report-size=1048576 --text - {tmp_path}/one {tmp_path}/two"


@pytest.mark.host_programs
def test_diffoscope_may_not_take_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(differences, "_DIFFOSCOPE_SECONDS", 0.2)
    difference = write_diffoscope(tmp_path, "exec sleep 60", monkeypatch)
    (line,) = look_into(difference)
    assert "did not finish in 0.2 s" in line
