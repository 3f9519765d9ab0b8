"""Packages of another format: named for it, whole, and so again after an edit, when most of each was kept before."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import run_rosk
from tests.graph.conftest import FakeProject
from tests.graph.edits import patches

pytestmark = pytest.mark.engine

FORMATS = {"zstd": ("tar.zst", b"\x28\xb5\x2f\xfd"), "xz": ("tar.xz", b"\xfd7zXZ\0")}
"""How the file of a format is called, and how it begins."""


def check_packages(dist: Path, release: str, suffix: str, magic: bytes) -> None:
    wanted = {f"{name}linux-{release}-x86.{suffix}" for name in ("", "extra-", "build-")}
    wanted |= {f"linux-{release}-x86-src.{suffix}"}
    packages = [path for path in (dist / "kernel").iterdir() if re.search(r"\.(tar|tgz)\b", path.name)]
    assert {path.name for path in packages} == wanted
    for path in packages:
        assert path.read_bytes().startswith(magic), path.name
    done = run_rosk("verify", dist, "--fast")
    assert done.code == 0, done.out + done.err


@pytest.mark.parametrize("compression", ["zstd", pytest.param("xz", marks=pytest.mark.heavy)])
def test_packages_of_another_format(fake: FakeProject, compression: str) -> None:
    fake.edit("config/rosk.yaml", lambda text: f"{text}packages:\n  compression: {compression}\n")
    dist = fake.root / "dist"
    before = fake.build().manifest["outputs"]
    check_packages(dist, fake.release, *FORMATS[compression])
    patches("limit").apply(fake)
    built = fake.build()
    assert {"compile", "source-package"} <= built.result.ran
    name = f"kernel/linux-{fake.release}-x86-src.{FORMATS[compression][0]}"
    assert built.manifest["outputs"][name] != before[name]
    check_packages(dist, fake.release, *FORMATS[compression])
