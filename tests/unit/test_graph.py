"""The bake plan is a pure function of the project; golden plans, and the graph against its Dockerfile."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from builder import graph, stagenames
from builder.cachespec import Caches
from builder.context import dockerfiles
from builder.project import Project, load_project
from tests.unit.projects import write_project

GOLDEN = Path(__file__).parent / "golden"
DOCKERFILE = (dockerfiles() / "kernel.Dockerfile").read_text()
CONTEXT = graph.Context(folder=Path("/context"), dockerfile=Path("/kernel.Dockerfile"), source=Path("/source"))
RESOLVED = graph.Resolved(
    kernel_version="6.12.64", epoch=1700000000, packages={"gcc": "14"}, base="rosk-base:trixie", base_digest="sha256:1"
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return load_project(write_project(tmp_path), arch="x86")


def golden(name: str, plan: dict[str, Any]) -> None:
    text = json.dumps(plan, indent=1) + "\n"
    assert text == (GOLDEN / name).read_text()


def test_build_plan(project: Project) -> None:
    golden("build.json", graph.build_plan(project, CONTEXT, RESOLVED, output=Path("/out")))


def test_resolve_plan(project: Project) -> None:
    golden("resolve.json", graph.resolve_plan(project, CONTEXT, base="rosk-base:trixie", output=Path("/out")))


def test_every_target_has_one_output(project: Project) -> None:
    plan = graph.build_plan(project, CONTEXT, RESOLVED, output=Path("/out"))
    assert {name: len(target["output"]) for name, target in plan["target"].items()} == dict.fromkeys(
        ("release", *graph.IMAGES), 1
    )


def test_packages_come_with_the_files_in_few_targets(project: Project) -> None:
    def targets(*packages: str, source: Path | None = None) -> dict[str, str]:
        plan = graph.build_plan(project, CONTEXT, RESOLVED, output=Path("/out"), packages=packages, source=source)
        return {name: target["target"] for name, target in plan["target"].items() if name not in graph.IMAGES}

    assert targets() == {"release": "release"}
    assert targets("kernel") == {"release": "release-modules"}
    assert targets("extras", "headers") == {"release": "release-packages"}
    assert targets(source=Path("/source")) == {"release": "release", "source-file": "source-file"}


def test_of_a_source_that_is_known_what_is_new_comes(project: Project) -> None:
    plan = graph.build_plan(
        project, CONTEXT, RESOLVED, output=Path("/out"), source=Path("/source"), known=Path("/known")
    )
    target = plan["target"]["source-file"]
    assert (target["target"], target["contexts"]["rosk-known"]) == ("source-changes", "/known")
    assert not any("known" in other["contexts"] for name, other in plan["target"].items() if name != "source-file")


def test_what_a_shared_cache_has_of_the_source_package(project: Project) -> None:
    def args(**more: Any) -> dict[str, str]:
        found: dict[str, str] = graph.build_plan(project, CONTEXT, RESOLVED, output=Path("/out"), **more)["target"][
            "release"
        ]["args"]
        return {name: value for name, value in found.items() if name == "SOURCE_SHARED"}

    assert args() == {}
    shared = {"SOURCE_SHARED": "whole-source"}
    assert args(shared=True) == args(caches=Caches(targets=("type=registry,ref=x",))) == shared
    assert args(caches=Caches(sources=("type=registry,ref=x",))) == {}


def test_the_stages_have_the_packages_that_they_are_said_to_have() -> None:
    has: dict[str, set[str]] = {}
    for base, stage, text in re.findall(r"^FROM (\S+) AS (release\S*)\n((?:COPY .*\n)+)", DOCKERFILE, re.M):
        has[stage] = {
            *has.get(base, ()),
            *re.findall(r"^COPY --from=(\w+)-package /packed/file/ /kernel/$", text, re.M),
        }
    assert has == graph.RELEASES


def test_a_layer_is_a_copy_of_a_folder_that_tells_its_compression_and_its_times(project: Project) -> None:
    """BuildKit does not see either in what it copies: a layer of other ones would be taken for this one."""
    for name in graph.IMAGES:
        target = graph.build_plan(project, CONTEXT, RESOLVED, output=Path("/out"))["target"][name]
        assert target["output"] == [f"type=docker,compression=gzip,compression-level={graph.LEVEL}"]
        assert target["args"]["LAYER"] == f"gzip{graph.LEVEL}-{RESOLVED.epoch}"
        (block,) = re.findall(rf"^FROM scratch AS {name}\n(?:.+\n)+", DOCKERFILE, re.M)
        copies = re.findall(r"^COPY .*$", block, re.M)
        assert copies and all(
            re.fullmatch(r"COPY --from=\S+ /(?:image|packed|packed/archive)/\$\{LAYER\} /", copy) for copy in copies
        )


def test_suffix_follows_the_target(tmp_path: Path) -> None:
    root = write_project(
        tmp_path,
        **{
            "config/arm64/kernel-config": "CONFIG_64BIT=y\n",
            "lists/arm64/modules.list": "",
            "lists/arm64/modules-extra.list": "",
        },
    )
    plan = graph.build_plan(load_project(root, arch="arm64"), CONTEXT, RESOLVED, output=Path("/out"))
    tags = [plan["target"][name]["tags"] for name in graph.IMAGES]
    assert tags == [[f"acme/{name}:6.12.64-acme_arm64"] for name in graph.IMAGES]


def test_the_order_of_images() -> None:
    assert graph.IMAGES == ("os-extras", "os-headers", "os-kernel")


def test_stages_are_those_of_the_dockerfile() -> None:
    text = (dockerfiles() / "kernel.Dockerfile").read_text()
    stages = set(re.findall(r"^FROM .* AS (\S+)$", text, re.M)) - {"resolve", "compile-log", "compile-log-read"}
    shared = {"packer", "image-tools", "shared-source"}
    assert {stagenames.shown_stage(stage) for stage in stages - shared} - {""} == set(stagenames.STAGES)


def test_what_takes_from_what() -> None:
    sources = stagenames.takes_from((dockerfiles() / "kernel.Dockerfile").read_text())
    assert sources["tools"] == set()
    assert sources["compile"] == {"patched", "configured"}
    assert sources["split"] == {"tools", "compile", "configured", "signed"}
    assert sources["signed"] == {"tools", "external", "configured"}
    assert sources["external"] == {"compile", "headers", "toolchain"}
    assert sources["os-kernel"] == {"tools", "compile", "kernel-package", "headers-package"}
    assert "compile" not in sources["os-extras"]


def test_no_lists_line_is_in_the_plan(project: Project) -> None:
    """Inputs reach the stages as files, never as words of a command."""
    plan = json.dumps(graph.build_plan(project, CONTEXT, RESOLVED, output=Path("/out")))
    assert "overlay" not in plan
    assert "0001-a.patch" not in plan
