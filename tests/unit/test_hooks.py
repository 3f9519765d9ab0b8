from __future__ import annotations

from pathlib import Path

from builder.hooks import idle_hooks
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
