"""`rosk diff` on two releases of the fake kernel tree: as folders and as images, of real compiled modules."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from builder.engine.base import BaseImage
from builder.manifestschema import manifest_schema
from tests.conftest import run_rosk
from tests.graph.edits import both, listed, new_project, option, patches, setting

pytestmark = pytest.mark.engine

EXT4, DUMMY = "kernel/fs/ext4/ext4.ko", "kernel/drivers/net/dummy.ko"
EDITS = both(
    setting("kernel:\n", "suffix: another-one\nkernel:\n"),
    option("EXT4_FS_POSIX_ACL", "n"),
    option("VXLAN", "n"),
    listed(DUMMY, extra=False),
    patches("first"),
)


def diff(old: str | Path, new: str | Path) -> dict[str, Any]:
    done = run_rosk("diff", old, new, "--json")
    assert done.code == 0, done.err
    told: dict[str, Any] = json.loads(done.out)
    return told


def of_the_content(told: dict[str, Any]) -> dict[str, Any]:
    """What images can tell as well: they carry no manifest, and the kernel package unpacked."""
    for release in (told["old"], told["new"]):
        del release["name"]
    sizes = [each for each in told["sizes"] if " in the " in each["name"] or each["name"] == "kernel image"]
    return {**told, "sizes": sizes, "source": None, "patches": None, "toolchain": None}


def test_folders_and_images_give_the_same(base: BaseImage, tmp_path: Path) -> None:
    project = new_project(base, tmp_path / "project")
    first = project.build()
    old = tmp_path / "old"
    shutil.copytree(project.root / "dist", old)
    EDITS.apply(project)
    project.write("firmware/fakenic/nic-1.bin", "newer firmware\n")
    second = project.build()
    new = project.root / "dist"
    for built in (first, second):
        jsonschema.validate(built.manifest, manifest_schema())

    told = diff(old, new)
    v, later = first.manifest["release"], second.manifest["release"]
    assert (told["old"]["release"], told["new"]["release"]) == (v, later) and v != later
    assert not told["same"] and told["notes"] == []
    assert [(each["name"], each["old"], each["new"], each["group"]) for each in told["config"]] == [
        ("EXT4_FS_POSIX_ACL", "y", "n", "options"),
        ("LOCALVERSION", f'"{v[7:]}"', '"-another-one"', "toolchain"),
        ("NET_UDP_TUNNEL", "m", "n", "options"),
        ("VXLAN", "m", "n", "options"),
    ]
    modules = told["modules"]
    # Every module was compiled for another release: one of them from other code.
    assert [each["path"] for each in modules["changed"]] == [EXT4]
    assert modules["moved"] == [{"path": DUMMY, "old": "extras", "new": "kernel"}]
    assert [(each["path"], each["package"]) for each in modules["removed"]] == [
        ("kernel/drivers/net/vxlan/vxlan.ko", "extras"),
        ("kernel/net/ipv4/udp_tunnel.ko", "extras"),
    ]
    assert not modules["added"] and not modules["renamed"]
    assert [each["name"] for each in told["symbols"]["removed"]] == ["udp_tunnel_sock_create"]
    assert not told["symbols"]["added"] and not told["symbols"]["changed"]
    assert told["external_modules"]["rebuild"] is True
    assert [each["path"] for each in told["firmware"]["changed"]] == ["fakenic/nic-1.bin"]
    assert list(told["patches"]["added"]) == ["0001-first.patch"]
    assert not any(told["toolchain"].values()) and told["source"] == []
    assert told["kernel_image_changed"]

    (kernel,) = (tag for tag in first.images if "/os-kernel:" in tag)
    (headers,) = (tag for tag in second.images if "/os-headers:" in tag)
    assert of_the_content(diff(kernel, headers)) == of_the_content(told)
    assert run_rosk("diff", old, kernel, "--exit-code").code == 0
    assert run_rosk("diff", old, headers, "--exit-code").code == 1
