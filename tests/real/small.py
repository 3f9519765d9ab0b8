"""What the tests of small kernels share."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from builder.engine.base import BaseImage
from tests.conftest import run_rosk
from tests.graph.conftest import FakeProject

SETTINGS = """\
org: small{token}
kernel:
  source: debian
  version: "6.12"
toolchain:
  suite: trixie
lists:
  unlisted: extra
"""
CONFIG = (Path(__file__).parent / "tiny.config").read_text()
MAIN_LIST = "kernel/drivers/net/dummy.ko\nkernel/drivers/net/veth.ko\n"


def small_project(base: BaseImage, root: Path) -> FakeProject:
    """A project of its own for a kernel that is as small as one with modules gets."""
    project = FakeProject(root, base)
    project.write("config/rosk.yaml", SETTINGS.format(token=secrets.token_hex(4)))
    reset_small(project)
    return project


def reset_small(project: FakeProject) -> None:
    """Bring its config and lists back to where they were at first."""
    project.write("config/x86/kernel-config", CONFIG)
    project.write("lists/x86/modules.list", MAIN_LIST)
    project.write("lists/x86/modules-extra.list", "")


def boot_small(dist: Path, console: Path) -> tuple[set[str], set[str]]:
    """Boot a kernel that is too small for Docker: what fails is for want of an option, and each module loads.

    Args:
        console: A file that receives the console.

    Returns:
        The checks that passed, and the paths of the modules.
    """
    done = run_rosk("boot", dist, "--json", "--console", console)
    assert done.out, done.err
    found = json.loads(done.out)
    assert not found["incidents"], found["incidents"]
    wrong = found["diagnosis"]["details"]
    assert [line for line in wrong if "CONFIG_" not in line] == [], found["diagnosis"]
    assert [module for module in found["modules"] if module["outcome"] != "loaded"] == []
    passed = {check["name"] for check in found["checks"] if check["ok"]}
    return passed, {module["path"] for module in found["modules"]}
