"""A release that does not pass its checks takes nobody's place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from builder import release
from builder.engine.docker import Docker
from builder.errors import VerifyError
from builder.project import load_project
from builder.run import BuildOptions, run_build
from tests.doctor import package, repack
from tests.graph.conftest import FakeProject

pytestmark = pytest.mark.engine


@pytest.fixture
def losing(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Has builds lose a module between the graph and the release: the checks see that, whatever it is that loses it."""
    described = release.describe_release

    def lose(project: Any, resolved: Any, folder: Path, **options: Any) -> dict[str, Any]:
        repack(package(folder, "kernel"), lambda archive: archive.remove("drivers/net/dummy.ko"))
        return described(project, resolved, folder, **{**options, "sums": {}})

    return lambda: monkeypatch.setattr(release, "describe_release", lose)


def test_a_release_that_does_not_pass(
    fake: FakeProject, losing: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = fake.build().manifest["images"]
    before = {path.name: path.read_bytes() for path in (fake.root / "dist/kernel").iterdir()}
    fake.edit("lists/x86/modules.list", lambda text: text + "kernel/drivers/net/dummy.ko\n")
    fake.edit("lists/x86/modules-extra.list", lambda text: text.replace("kernel/drivers/net/dummy.ko\n", ""))
    losing()
    with pytest.raises(VerifyError) as caught:
        fake.build()
    assert any("dummy.ko" in line for line in caught.value.details)
    assert {path.name: path.read_bytes() for path in (fake.root / "dist/kernel").iterdir()} == before
    found = {tag: Docker().image_id(tag) for tag in images}
    assert {tag for tag, image in found.items() if image == images[tag]} == {tag for tag in images if "headers" in tag}
    assert set(found.values()) <= {None, *images.values()}
    rejected = fake.root / "dist" / release.REJECTED
    checks = json.loads((rejected / release.VERIFY).read_text())["checks"]
    assert {check["name"] for check in checks if check["status"] == "failed"} >= {"module-lists"}
    assert (rejected / release.REPORT).stat().st_size > 0

    monkeypatch.undo()
    images = fake.build().manifest["images"]
    assert not rejected.exists()
    assert Docker().image_ids(list(images)) == images
    assert {check["status"] for check in json.loads((fake.root / "dist/verify.json").read_text())["checks"]} <= {
        "ok",
        "skipped",
    }


def test_nothing_of_it_is_pushed(fake: FakeProject, losing: Callable[[], None], registry: str) -> None:
    fake.edit("lists/x86/modules.list", lambda text: text + "kernel/drivers/net/dummy.ko\n")
    fake.edit("lists/x86/modules-extra.list", lambda text: text.replace("kernel/drivers/net/dummy.ko\n", ""))
    losing()
    project = load_project(fake.root, arch="x86", registries=[registry])
    with pytest.raises(VerifyError):
        run_build([project], BuildOptions(push=True, quiet=True, commands=(("rosk", "build"),)))
    assert not requests.get(f"http://{registry}/v2/_catalog", timeout=10).json()["repositories"]
    assert not (fake.root / "dist/kernel").exists()
