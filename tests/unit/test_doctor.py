"""What `rosk doctor` says of a project; the machine it looks at with a real engine (tests/graph)."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from builder.cli import build as _build  # noqa: F401 - hangs the command on the app
from builder.cli.app import app
from builder.doctor import Finding, toolchain
from tests.unit.projects import SETTINGS, write_project

CHOSEN = SETTINGS.replace("suite: trixie", "suite: auto")


def test_what_compiles_the_kernel_and_why(tmp_path: Path) -> None:
    root = write_project(tmp_path, **{"config/rosk.yaml": CHOSEN.replace("6.12.64", "5.10.200")})
    found = list(toolchain(root, "x86", None))
    assert found[0].text.startswith("ok       toolchain: gcc 10 of Debian 11")
    assert "5.10" in found[1].text and not any(finding.fatal for finding in found)


def test_what_is_found_is_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builder.doctor.examine", lambda *_, **_words: [Finding(text="note     the version '[/x]'")])
    done = CliRunner().invoke(app, ["doctor"])
    assert (done.exit_code, done.stdout) == (0, "note     the version '[/x]'\n")


def test_a_project_that_cannot_be_built(tmp_path: Path) -> None:
    root = write_project(tmp_path, **{"config/rosk.yaml": CHOSEN.replace("6.12.64", "4.19.300") + "nonsense: 1\n"})
    (finding,) = toolchain(root, "x86", None)
    assert finding.text.startswith("note") and "nonsense" in finding.text and not finding.fatal
    (finding,) = toolchain(write_project(tmp_path / "other"), "x86", "cloud")
    assert "there is no flavour" in finding.text
