"""What the tests of small kernels share."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import run_rosk


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
