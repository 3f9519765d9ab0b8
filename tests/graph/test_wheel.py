"""The package installed with pip works outside its checkout: the Dockerfiles travel in the wheel."""

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
    code = f"import sys; sys.path.insert(0, {str(site)!r}); from builder.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, "build", "-C", fake.root], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    contract.check_release(contract.find_release(fake.root / "dist"))
