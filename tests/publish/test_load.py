"""Large things: memory stays flat however large a blob is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.publish.registries import Look

MOST_MORE_KB = 20_000


def peak(host: str, megabytes: int, folder: Path) -> int:
    """The most memory that it took to publish so much, in kB."""
    folder.mkdir()
    words = [sys.executable, "-m", "tests.publish.sender", host, str(megabytes), str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def flat(look: Look, tmp_path: Path, megabytes: int) -> None:
    small, large = peak(look.host, 4, tmp_path / "small"), peak(look.host, megabytes, tmp_path / "large")
    assert large - small < MOST_MORE_KB
    look.complete(f"load{megabytes}/os-kernel", "1")


def test_memory_stays_flat(plain: Look, tmp_path: Path) -> None:
    flat(plain, tmp_path, 64)


@pytest.mark.heavy
def test_memory_stays_flat_with_500_megabytes(plain: Look, tmp_path: Path) -> None:
    flat(plain, tmp_path, 500)
