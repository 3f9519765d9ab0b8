"""What several stages' tests need once: the fake kernel tree, compiled."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.stages import faketree


@pytest.fixture(scope="session", autouse=True)
def temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a stage leaves in `/tmp` of its container is left in pytest's folder."""
    folder = str(tmp_path_factory.mktemp("tmp"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield


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
