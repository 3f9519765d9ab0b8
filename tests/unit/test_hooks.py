from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.errors import InputError
from builder.hooks import find_hooks, idle_hooks
from builder.project import load_project
from tests.unit.projects import write_project


def test_scripts_that_are_not_executable(tmp_path: Path) -> None:
    """A text beside the hooks is no script; what is executable is run."""
    files = {"hooks/01-run": "#!/bin/sh\n", "hooks/02-idle": "#!/bin/sh\n", "hooks/README": "text\n"}
    root = write_project(tmp_path, **files)
    (root / "hooks/01-run").chmod(0o755)
    (root / "hooks/folder").mkdir()
    assert idle_hooks(root) == ["hooks/02-idle"]
    assert [name for name in load_project(root, arch="x86").inputs if name.startswith("hooks/")] == ["hooks/01-run"]
    assert idle_hooks(tmp_path / "none") == []


@pytest.fixture
def hooks(tmp_path: Path) -> Path:
    (tmp_path / "hooks").mkdir()
    return tmp_path / "hooks"


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("01-crlf", "#!/bin/sh\r\ntrue\r\n", "CR LF"),
        ("01\nerror: all is lost", "#!/bin/sh\n", "a character in its name"),
        ("01\x1b[2J", "#!/bin/sh\n", "a character in its name"),
    ],
)
def test_hooks_that_cannot_be_run_or_named(hooks: Path, name: str, text: str, what: str) -> None:
    (hooks / name).write_bytes(text.encode())
    assert find_hooks(hooks.parent) == []
    (hooks / name).chmod(0o755)
    with pytest.raises(InputError, match=what) as caught:
        find_hooks(hooks.parent)
    assert caught.value.hint and str(caught.value).isprintable()


def test_what_is_no_file_is_no_hook(hooks: Path) -> None:
    (hooks / "lib").mkdir()
    (hooks / ".#01-run").symlink_to("me@here.1234")
    assert find_hooks(hooks.parent) == []
    (hooks / "01-gone").symlink_to("../scripts/gone")
    with pytest.raises(InputError, match="this is no file"):
        find_hooks(hooks.parent)
    (hooks / "01-gone").unlink()
    os.mkfifo(hooks / "02-fifo")
    with pytest.raises(InputError, match="this is no file"):
        find_hooks(hooks.parent)
