"""What stands in for newer Pythons in an old suite does what they do."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from builder.stages import oldpython

STAGES = Path(oldpython.__file__).parent


def test_a_dataclass_with_keywords_only() -> None:
    class Point:
        x: int = 1
        y: int

    class Plain:
        z: int

    point: Any = oldpython.dataclass(frozen=True, kw_only=True)(Point)
    assert (point(y=2).x, point(y=2).y) == (1, 2)
    with pytest.raises(AttributeError):
        point(y=2).x = 3
    plain: Any = oldpython.dataclass(Plain)
    assert plain(3).z == 3


def test_zip() -> None:
    assert list(oldpython.strict_zip([1, 2], "ab", strict=True)) == [(1, "a"), (2, "b")]
    assert list(oldpython.strict_zip([1, 2], "a")) == [(1, "a")]
    with pytest.raises(ValueError, match="length"):
        oldpython.strict_zip([1, 2], "a", strict=True)


@pytest.mark.host_programs
def test_a_process_group_of_its_own() -> None:
    words = [sys.executable, "-c", "import os; print(os.getpid() == os.getpgid(0))"]
    with oldpython.Popen(words, stdout=subprocess.PIPE, process_group=0) as process:
        assert process.stdout
        assert process.stdout.read() == b"True\n"


def test_a_hard_link(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    oldpython.hardlink_to(tmp_path / "b", tmp_path / "a")
    assert (tmp_path / "a").samefile(tmp_path / "b")


@pytest.mark.parametrize("path", sorted(STAGES.glob("*.py")), ids=lambda path: path.stem)
def test_stages_are_written_in_the_language_of_python_3_9(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 9))
