"""The hardening report, with a program that prints what kernel-hardening-checker 0.6.17 prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.config.hardening import PROGRAM, VARIABLE, advise, find_program
from builder.errors import InputError

REPORT = """\
[{"option_name": "CONFIG_BUG", "type": "kconfig", "reason": "self_protection", "decision": "defconfig",
  "desired_val": "y", "check_result": "OK", "check_result_bool": true},
 {"option_name": "CONFIG_DEVMEM", "type": "kconfig", "reason": "cut_attack_surface", "decision": "kspp",
  "desired_val": "is not set", "check_result": "FAIL: \\"y\\"", "check_result_bool": false},
 {"option_name": "nosmt", "type": "cmdline", "reason": "harden_userspace", "decision": "kspp",
  "desired_val": "is present", "check_result": "FAIL: is not found", "check_result_bool": false}]
"""


def install(folder: Path, body: str) -> Path:
    """A program of that name in a folder; it sees what it is called with."""
    path = folder / PROGRAM
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.mark.host_programs
def test_the_report_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "report").write_text(REPORT)
    install(
        tmp_path,
        f'[ "$1 $3 $4" = "-c -m json" ] && grep -q CONFIG_DEVMEM=y "$2" && cat {tmp_path}/report',
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    good, bad = advise("CONFIG_BUG=y\nCONFIG_DEVMEM=y\n")
    assert (good.option, good.ok) == ("CONFIG_BUG", True)
    assert (bad.option, bad.wanted, bad.by, bad.why, bad.ok) == (
        "CONFIG_DEVMEM",
        "is not set",
        "kspp",
        "cut_attack_surface",
        False,
    )


@pytest.mark.host_programs
@pytest.mark.parametrize("body", ["echo no JSON", "echo '[{}]'", "echo '{\"a\": 1}'", "exit 1"])
def test_a_program_that_says_something_else_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    monkeypatch.setenv(VARIABLE, str(install(tmp_path, body)))
    with pytest.raises(InputError) as caught:
        advise("CONFIG_BUG=y\n")
    assert VARIABLE in caught.value.hint


@pytest.mark.host_programs
def test_a_text_file_is_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "notes"
    path.write_text("words\n")
    path.chmod(0o755)
    monkeypatch.setenv(VARIABLE, str(path))
    with pytest.raises(InputError, match=f"{path} cannot be run: Exec format error") as caught:
        advise("CONFIG_BUG=y\n")
    assert VARIABLE in caught.value.hint


def test_one_that_is_missing_is_said_with_what_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="not installed") as caught:
        find_program()
    assert "pipx install" in caught.value.hint and "apt install" in caught.value.hint
    monkeypatch.setenv(VARIABLE, "/no/such")
    with pytest.raises(InputError, match="names no program: /no/such"):
        find_program()
