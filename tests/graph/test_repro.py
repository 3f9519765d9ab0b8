"""`rosk repro` on the fake kernel tree: what it proves, what it finds, and that it leaves no trace."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from builder.engine.docker import Docker
from builder.engine.events import BuildState
from builder.errors import ReproError
from builder.project import load_project
from builder.release import describe
from builder.repro.model import ReproOptions
from builder.repro.run import run_repro
from builder.stagenames import OPTIONAL, STAGES
from tests.graph.conftest import FakeProject

pytestmark = pytest.mark.engine

INPUTS = {"tools", "toolchain", "source"}
RANDOM_STRING = """\
#!/bin/sh
sed -i "s/\\"dummy\\"/\\"$(od -An -N8 -tx1 /dev/urandom | tr -d ' \\n')\\"/" drivers/net/dummy.c
"""


def repro(fake: FakeProject, **options: Any) -> None:
    run_repro(load_project(fake.root, arch="x86"), ReproOptions(quiet=True, as_json=True, **options))


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout


def cache_mounts() -> dict[str, str]:
    """The cache mounts of rosk: the engine's ID to the Dockerfile's."""
    records = docker("buildx", "du", "--verbose", "--filter", "type=exec.cachemount").split("\n\n")
    found = [(re.search(r"^ID:\s+(\S+)", each), re.search(r'with id "/(rosk-[^"]+)"', each)) for each in records]
    return {id[1]: mount[1] for id, mount in found if id and mount}


def tags(org: str) -> set[str]:
    lines = docker("images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").splitlines()
    return {line for line in lines if line.startswith((org, "repro-"))}


def traces(fake: FakeProject) -> tuple[dict[str, Any], set[str], set[str]]:
    """What a proof has to leave as it was: dist, the project's images, and the cache mounts that builds share."""
    dist = fake.root / "dist"
    files = {str(path.relative_to(dist)): describe(path) for path in dist.rglob("*") if path.is_file()}
    shared = ("rosk-apt-archives", "rosk-apt-lists", "rosk-ccache", "rosk-pack", "rosk-log")
    kept = {id for id, name in cache_mounts().items() if name in shared or name.endswith(fake.release)}
    return files, tags(load_project(fake.root, arch="x86").org), kept


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[BuildState]:
    """What BuildKit reported of each solve from here on."""
    states: list[BuildState] = []
    bake = Docker.bake

    def watched(self: Docker, plan: Any, *, epoch: int, on_output: Any) -> dict[str, Any]:
        state = BuildState()
        states.append(state)

        def follow(line: str) -> None:
            state.feed(line.encode())
            on_output(line)

        return bake(self, plan, epoch=epoch, on_output=follow)

    monkeypatch.setattr(Docker, "bake", watched)
    return states


def test_a_reproducible_release(
    fake: FakeProject, executed: list[BuildState], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = fake.build().manifest
    before = traces(fake)
    executed.clear()
    repro(fake, keep=tmp_path / "kept")
    result = json.loads(capsys.readouterr().out)
    assert result["reproducible"] and result["report"] is None
    assert set(result["compared"]) == {*manifest["outputs"], *manifest["images"]}
    assert all(each["first"] == each["second"] for each in result["compared"].values())
    assert traces(fake) == before
    assert not [name for name in cache_mounts().values() if "-repro-" in name and fake.release in name]
    kept = json.loads((tmp_path / "kept/manifest.json").read_text())
    assert (kept["images"], kept["settings"]) == (manifest["images"], manifest["settings"])
    assert {f"kernel/{path.name}" for path in (tmp_path / "kept/kernel").iterdir()} == set(manifest["outputs"])
    # Everything but the inputs ran again, each step once, though four targets asked for it; nothing was fetched.
    (solve,) = executed
    steps = [
        vertex.name.split("] ")[0].partition(" ")[2] + vertex.name.split("] ")[1]
        for stage in solve.stages.values()
        for vertex in stage.vertexes
        if vertex.executed and "] RUN " in vertex.name
    ]
    assert len(steps) == len(set(steps))
    ran = {stage.name.removesuffix("-root").removesuffix("-folder") for stage in solve.stages.values() if stage.ran}
    assert ran >= set(STAGES) - INPUTS - OPTIONAL - {"release"}
    assert not ran & {*INPUTS, "source-tree"}


def test_a_release_that_is_not(fake: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    fake.write("hooks/random", RANDOM_STRING)
    (fake.root / "hooks/random").chmod(0o755)
    fake.build()
    before = traces(fake)
    with pytest.raises(ReproError) as caught:
        repro(fake)
    result = json.loads(capsys.readouterr().out)
    assert not result["reproducible"]
    v = fake.release
    differing = {name for name, each in result["compared"].items() if each["first"] != each["second"]}
    assert differing == {
        f"kernel/linux-{v}-x86-src.tgz",
        f"kernel/extra-linux-{v}-x86.tar.gz",
        f"{v.partition('-')[2]}/os-extras:{v}",
    }
    found = {tuple(each["where"]): each["what"] for each in result["differences"]}
    module = f"./lib/modules/{v}/kernel/drivers/net/dummy.ko"
    assert set(found) == {
        (f"linux-{v}-x86-src.tgz", f"linux-{v}/drivers/net/dummy.c"),
        (f"extra-linux-{v}-x86.tar.gz", module),
        ("image os-extras", "layer 2", "extras.tar.gz", module),
    }
    assert ', line 7: "\\treturn printk(\\"' in found[f"linux-{v}-x86-src.tgz", f"linux-{v}/drivers/net/dummy.c"]
    assert "in the ELF sections .rodata" in found[f"extra-linux-{v}-x86.tar.gz", module]
    report = fake.root / "dist/repro.log"
    assert result["report"] == str(report)
    assert [line for line in report.read_text().splitlines() if line.startswith("    +\treturn printk(")]
    assert any("drivers/net/dummy.c: content (" in line for line in caught.value.details)
    report.unlink()
    assert traces(fake) == before


def test_a_toolchain_taken_anew(
    fake: FakeProject, executed: list[BuildState], capsys: pytest.CaptureFixture[str]
) -> None:
    fake.build()
    before = traces(fake)
    executed.clear()
    repro(fake, toolchain=True)
    assert json.loads(capsys.readouterr().out)["reproducible"]
    ran = {stage.name for solve in executed for stage in solve.stages.values() if stage.ran}
    assert ran >= {"tools", "toolchain", "source-tree"}
    assert traces(fake) == before
