"""The package installed with pip works outside its checkout: Dockerfiles and default project travel in the wheel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import contract
from tests.conftest import ROOT
from tests.graph.conftest import FakeProject

pytestmark = pytest.mark.engine


def test_the_wheel(fake: FakeProject, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "wheel", *offline, "--wheel-dir", tmp_path / "wheels", ROOT], check=True)
    (wheel,) = (tmp_path / "wheels").iterdir()
    site = tmp_path / "site"
    subprocess.run([*pip, "install", *offline, "--target", site, wheel], check=True)
    run = [sys.executable, "-P", "-c"]
    code = f"import sys; sys.path.insert(0, {str(site)!r}); from builder.__main__ import main; main()"
    done = subprocess.run([*run, code, "build", "-C", fake.root], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for words in (["init", "acme"], ["plan", "-C", "acme"]):  # the default project travels in it, too
        done = subprocess.run([*run, code, *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    contract.check_release(contract.find_release(fake.root / "dist"))
