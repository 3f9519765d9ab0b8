"""What several stages' tests need once: the fake kernel tree, compiled."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.stages import faketree


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `configured/`, `obj/`, `log/` and `out/` of the fake kernel tree, compiled once."""
    work = tmp_path_factory.mktemp("compiled")
    done = faketree.configure(faketree.TREE, work / "configured")
    assert done.returncode == 0, done.stdout
    done = faketree.run_stage("compile", *faketree.compile_arguments(faketree.TREE, work))
    assert done.returncode == 0, done.stdout
    (work / "stdout").write_text(done.stdout)
    return work
