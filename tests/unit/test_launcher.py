"""The launcher `rosk` of a checkout. Python is a shell script here that notes how it was called; no network is used."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.host_programs

LAUNCHER = Path(__file__).resolve().parents[2] / "rosk"

# Does what the launcher asks of Python, in a moment: `fail` in the folder of the calls makes pip fail.
PYTHON = """#!/bin/sh
calls={calls}
case "$*" in
    *"import os, sys"*) readlink -f "$0"; exit ;;
    *"import ensurepip"*) [ ! -e "$calls/no-ensurepip" ]; exit ;;
    "-c import sys"* | "-m pip --version") exit 0 ;;
esac
echo "$*" >> "$calls/log"
case "$*" in
    *"-m venv"*) for last; do :; done; rm -rf "$last"; mkdir -p "$last/bin"; cp "$0" "$last/bin/python" ;;
    *"-m pip install"*--editable*)
        printf '#!/bin/sh\\necho "rosk of %s: $*"\\n' "$(dirname "$0")" > "$(dirname "$0")/rosk"
        chmod +x "$(dirname "$0")/rosk" ;;
    *"-m pip install"*) sleep 0.2; [ ! -e "$calls/fail" ] ;;
esac
"""


class Checkout:
    """A folder with the launcher in it, and a PATH with one Python and the system's basic programs."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "check out"
        self.calls = folder / "calls"
        self.bin = folder / "bin"
        for each in (self.root, self.calls, self.bin):
            each.mkdir()
        (self.root / "rosk").write_text(LAUNCHER.read_text())
        (self.root / "rosk").chmod(0o755)
        (self.root / "requirements.txt").write_text("rich==1 --hash=sha256:0\n")
        (self.root / "pyproject.toml").touch()
        programs = (
            "basename",
            "cat",
            "chmod",
            "cmp",
            "cp",
            "dirname",
            "flock",
            "head",
            "id",
            "mkdir",
            "readlink",
            "rm",
        )
        for name in (*programs, "sh", "sleep", "touch"):
            (self.bin / name).symlink_to(f"/usr/bin/{name}")
        self.add_python("python3")

    def add_python(self, name: str, script: str = PYTHON) -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)  # it may be a link to the system's own
        path.write_text(script.format(calls=self.calls))
        path.chmod(0o755)

    def start(
        self, *words: str, cwd: Path | None = None, by: Path | None = None, no_install: str | None = None
    ) -> subprocess.Popen[str]:
        environment = {"PATH": str(self.bin)} | ({} if no_install is None else {"ROSK_NO_INSTALL": no_install})
        return subprocess.Popen(
            [by or self.root / "rosk", *words], cwd=cwd, env=environment, stdout=-1, stderr=-1, text=True
        )

    def run(
        self, *words: str, cwd: Path | None = None, by: Path | None = None, no_install: str | None = None
    ) -> tuple[int, str, str]:
        process = self.start(*words, cwd=cwd, by=by, no_install=no_install)
        out, err = process.communicate()
        return process.returncode, out, err

    def called(self) -> list[str]:
        """How Python was called since the last time this was asked, in short."""
        log = self.calls / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [line.replace(str(self.root), "ROOT") for line in lines]


PIP = "-m pip install -qq --disable-pip-version-check --no-input"
INSTALL = [
    f"{PIP} --require-hashes -r ROOT/requirements.txt",
    f"{PIP} --no-deps --no-build-isolation --no-index --editable ROOT",
    "-m compileall -q ROOT/builder",
]
CREATE = ["-m venv --clear --without-pip ROOT/.venv", "-m ensurepip --default-pip", *INSTALL]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_first_start_sets_up_and_the_second_does_not(checkout: Checkout) -> None:
    code, out, err = checkout.run("build", "--kernel", "6.12 x")
    assert (code, out) == (0, f"rosk of {checkout.root}/.venv/bin: build --kernel 6.12 x\n")
    assert err == f"rosk: installing the locked Python packages (requirements.txt) into {checkout.root}/.venv\n"
    assert checkout.called() == CREATE
    assert checkout.run() == (0, f"rosk of {checkout.root}/.venv/bin: \n", "")
    assert checkout.called() == []


def test_through_a_link_from_another_folder(checkout: Checkout, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("check out/rosk")
    assert checkout.run("plan", cwd=tmp_path, by=link)[:2] == (0, f"rosk of {checkout.root}/.venv/bin: plan\n")


@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml"])
def test_changed_requirements_are_installed_over_the_old(checkout: Checkout, name: str) -> None:
    checkout.run()
    checkout.called()
    (checkout.root / name).write_text("# changed\n")
    assert checkout.run()[0] == 0
    assert checkout.called() == INSTALL
    checkout.run()
    assert checkout.called() == []


def test_an_environment_made_by_hand_is_kept(checkout: Checkout) -> None:
    checkout.run()
    (checkout.root / ".venv/rosk.stamp").unlink()
    checkout.called()
    checkout.run()
    assert checkout.called() == INSTALL


def test_a_moved_checkout_is_set_up_anew(checkout: Checkout, tmp_path: Path) -> None:
    checkout.run()
    checkout.called()
    checkout.root = checkout.root.rename(tmp_path / "elsewhere")
    assert checkout.run("plan")[:2] == (0, f"rosk of {checkout.root}/.venv/bin: plan\n")
    assert checkout.called() == CREATE


def test_a_failed_or_broken_off_setup_is_repaired(checkout: Checkout) -> None:
    (checkout.calls / "fail").touch()
    code, _, err = checkout.run()
    assert code == 4
    assert "the locked Python packages could not be installed\n  next: " in err
    (checkout.calls / "fail").unlink()
    checkout.called()
    assert checkout.run()[0] == 0
    assert checkout.called() == CREATE


def test_a_python_that_is_gone(checkout: Checkout) -> None:
    checkout.run()
    (checkout.root / ".venv/bin/python").unlink()
    checkout.called()
    assert checkout.run()[0] == 0
    assert checkout.called() == CREATE


def test_two_at_once_set_up_once(checkout: Checkout) -> None:
    both = [checkout.start("plan") for _ in range(2)]
    results = [(process.communicate()[0], process.returncode) for process in both]
    assert results == [(f"rosk of {checkout.root}/.venv/bin: plan\n", 0)] * 2
    assert checkout.called() == CREATE


@pytest.mark.parametrize(("words", "no_install"), [(["build", "--no-install"], None), ([], "1"), (["plan"], "true")])
def test_refused(checkout: Checkout, words: list[str], no_install: str | None) -> None:
    code, out, err = checkout.run(*words, no_install=no_install)
    assert (code, out) == (5, "")
    assert "installing is refused" in err
    assert "--require-hashes -r requirements.txt" in err
    assert not (checkout.root / ".venv").exists()
    assert checkout.called() == []


def test_refused_with_an_old_environment(checkout: Checkout) -> None:
    checkout.run()
    checkout.called()
    (checkout.root / "requirements.txt").write_text("# changed\n")
    code, out, err = checkout.run("plan", "--no-install")
    assert (code, out) == (0, f"rosk of {checkout.root}/.venv/bin: plan --no-install\n")
    assert "may be out of date" in err
    assert checkout.called() == []


@pytest.mark.parametrize(("words", "no_install"), [(["--", "--no-install"], None), ([], "0"), ([], "")])
def test_not_refused(checkout: Checkout, words: list[str], no_install: str | None) -> None:
    assert checkout.run(*words, no_install=no_install)[0] == 0
    assert checkout.called() == CREATE


def test_the_first_python_that_is_new_enough(checkout: Checkout) -> None:
    checkout.add_python("python3", "#!/bin/sh\nexit 0\n")
    checkout.add_python("python3.13", "#!/bin/sh\necho pyenv: not here >&2; exit 127\n")
    checkout.add_python("python3.12")
    assert checkout.run()[0] == 0


def test_no_python(checkout: Checkout) -> None:
    (checkout.bin / "python3").unlink()
    code, _, err = checkout.run()
    assert code == 5
    assert "needs Python 3.11 or newer" in err
    assert "apt-get install python3" in err


def test_no_venv_module_and_no_apt(checkout: Checkout) -> None:
    (checkout.calls / "no-ensurepip").touch()
    code, _, err = checkout.run()
    assert code == 5
    assert "apt-get install python3-venv" in err


def test_no_venv_module(checkout: Checkout) -> None:
    (checkout.calls / "no-ensurepip").touch()
    checkout.add_python("apt-get", '#!/bin/sh\necho "$*" >> {calls}/apt\n')
    checkout.add_python("id", "#!/bin/sh\necho 0\n")
    code, _, err = checkout.run()
    assert code == 0
    assert "rosk: installing the Debian package python3-venv\n" in err
    assert (checkout.calls / "apt").read_text().splitlines()[-1].endswith("--no-install-recommends python3-venv")


def test_it_is_executable() -> None:
    assert os.access(LAUNCHER, os.X_OK)
