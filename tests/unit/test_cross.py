"""What a build for another architecture than the machine's is told, and what one for its own is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from builder import graph
from builder.arch import ARCHES
from builder.cross import IMAGE_PACKAGES
from builder.project import load_project
from tests.unit.projects import SETTINGS, write_project
from tests.unit.test_graph import CONTEXT, RESOLVED

ARM64 = {
    "config/arm64/kernel-config": "CONFIG_64BIT=y\n",
    "lists/arm64/modules.list": "",
    "lists/arm64/modules-extra.list": "",
}


def release(root: Path, machine: str, arch: str, monkeypatch: pytest.MonkeyPatch, settings: str = "") -> dict[str, Any]:
    monkeypatch.setattr("platform.machine", lambda: machine)
    write_project(root, **ARM64, **{"config/rosk.yaml": SETTINGS + settings})
    plan = graph.build_plan(load_project(root, arch=arch), CONTEXT, RESOLVED, output=Path("/out"))
    found: dict[str, Any] = plan["target"]["release"]
    return found


@pytest.mark.parametrize(
    ("machine", "arch", "prefix", "compiler", "foreign"),
    [
        ("x86_64", "arm64", "aarch64-linux-gnu-", "gcc-aarch64-linux-gnu", "arm64"),
        ("aarch64", "x86", "x86_64-linux-gnu-", "gcc-x86-64-linux-gnu", "amd64"),
    ],
)
def test_another_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, arch: str, prefix: str, compiler: str, foreign: str
) -> None:
    target = release(tmp_path, machine, arch, monkeypatch)
    args = target["args"]
    assert target["platforms"] == [f"linux/{foreign}"]
    assert (args["CROSS_COMPILE"], args["FOREIGN"], args["IMAGE_ARCH"]) == (prefix, foreign, foreign)
    assert args["IMAGE_TOOLS"] == "foreign-tools" and args["SYSROOT"] != "/"
    packages = args["TOOLCHAIN_PACKAGES"].split()
    assert {"gcc", compiler, "libelf-dev", f"libelf-dev:{foreign}"} <= set(packages)


@pytest.mark.parametrize(("machine", "arch"), [("x86_64", "x86"), ("aarch64", "arm64")])
def test_the_machines_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, arch: str) -> None:
    args = release(tmp_path, machine, arch, monkeypatch)["args"]
    assert not {"CROSS_COMPILE", "SYSROOT", "IMAGE_ARCH"} & args.keys()
    assert args["IMAGE_TOOLS"] == "tools" and args["FOREIGN"] == ""
    assert not [package for package in args["TOOLCHAIN_PACKAGES"].split() if ":" in package or "linux-gnu" in package]


def test_the_architectures_of_a_project_have_one_toolchain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So they share it and the source, in one solve or one after the other."""
    x86, arm64 = (
        release(tmp_path / arch, "x86_64", arch, monkeypatch, "architectures: [x86, arm64]\n")["args"]
        for arch in ARCHES
    )
    assert x86["TOOLCHAIN_PACKAGES"] == arm64["TOOLCHAIN_PACKAGES"]
    assert x86["FOREIGN"] == arm64["FOREIGN"] == "arm64"
    assert "CROSS_COMPILE" not in x86


def test_what_the_images_start_with_is_what_the_tools_have() -> None:
    assert set(IMAGE_PACKAGES) <= set(graph.TOOLS_PACKAGES)
