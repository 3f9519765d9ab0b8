"""The commands on a small project with a release made by hand, with no engine."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.errors import InputError
from builder.lists.files import Files
from builder.lists.learn import ListOptions
from builder.lists.run import run_check, run_fix, run_why
from builder.project import load_project
from tests.unit.lists.kernels import ALL, BTRFS, HASH, NIC, NVME, V, write_modules
from tests.unit.projects import write_project
from tests.unit.verify.releases import release

MAIN, EXTRA = "lists/x86/modules.list", "lists/x86/modules-extra.list"
IN_EXTRA = (HASH, NIC)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose lists are good for the release in its dist."""
    root = tmp_path / "project"
    write_project(root, **{MAIN: f"# boot\n{BTRFS}\n{NVME}\n", EXTRA: f"{HASH}\n{NIC}\n"})
    folder = write_modules(tmp_path / "built")
    files = {path: (folder / path).read_bytes() for path in (*ALL, "modules.builtin")}
    kernel, extras = (
        {f"./lib/modules/{V}/{path}": data for path, data in files.items() if (path in IN_EXTRA) is inside}
        for inside in (False, True)
    )
    release(root / "dist", v=V, kernel=kernel, extras=extras)
    return root


def options(root: Path, *, as_json: bool = False) -> ListOptions:
    return ListOptions(root=root, arch="x86", engine=False, as_json=as_json)


def refused(function: object, *arguments: object, **given: object) -> InputError:
    with pytest.raises(InputError) as caught:
        function(*arguments, **given)  # type: ignore[operator]
    return caught.value


def test_check_prints_warnings_and_fails_only_for_errors(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_check(options(project))
    out = capsys.readouterr().out
    assert f"{EXTRA}:1: {BTRFS} of the kernel package has the soft dependency hash64" in out
    assert "2 lines and 2 lines: 0 errors, 1 warning" in out
    assert f"the release {V}" in out
    error = refused(run_check, options(project), strict=True)
    assert error.exit_code == 3 and len(error.details) == 1


def test_check_names_each_error_and_what_to_do(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / EXTRA).write_text("")
    error = refused(run_check, options(project))
    assert error.what == "2 errors in the lists" and "rosk lists fix" in error.hint
    assert [detail.split()[0] for detail in error.details] == [HASH, NIC]
    assert EXTRA in error.details[0]
    capsys.readouterr()
    refused(run_check, options(project, as_json=True))
    told = json.loads(capsys.readouterr().out)
    assert (told["release"], told["complete"], told["errors"], told["warnings"]) == (V, True, 2, 0)
    assert {finding["kind"] for finding in told["findings"]} == {"unlisted"}


def test_lines_that_are_wrong_come_first_and_need_no_release(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(project / "dist")
    (project / EXTRA).write_text(f"{NIC}\n{NIC}\n{BTRFS}\n/x.ko\n")
    error = refused(run_check, options(project, as_json=True))
    assert [detail.split(": ")[0] for detail in error.details] == [f"{EXTRA}:{line}" for line in (2, 4, 3)]
    assert "was not looked at" in error.hint and "--remove-duplicates" in error.hint
    assert json.loads(capsys.readouterr().out)["complete"] is False
    (project / EXTRA).write_text("")
    error = refused(run_check, options(project))
    assert error.what == "there is no release to learn of the modules from"


def test_fix_writes_what_its_diff_says(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / EXTRA).write_text("# extras\n")
    (project / EXTRA).chmod(0o640)
    run_fix(options(project), dry_run=True)
    shown = capsys.readouterr().out
    assert (project / EXTRA).read_text() == "# extras\n"
    assert shown == f"--- a/{EXTRA}\n+++ b/{EXTRA}\n@@ -1 +1,3 @@\n # extras\n+{HASH}\n+{NIC}\n"
    run_fix(options(project))
    assert capsys.readouterr().out == shown
    assert (project / EXTRA).read_text() == f"# extras\n{HASH}\n{NIC}\n"
    assert (project / EXTRA).stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in (project / EXTRA).parent.iterdir()) == ["modules-extra.list", "modules.list"]
    run_fix(options(project))
    assert capsys.readouterr().out == "nothing to add\n"
    run_check(options(project))


def test_fix_follows_a_link_and_keeps_it(project: Path) -> None:
    shared = project / "shared.list"
    shared.write_text(f"{HASH}\n")
    (project / EXTRA).unlink()
    (project / EXTRA).symlink_to("../../shared.list")
    run_fix(options(project))
    assert (project / EXTRA).is_symlink()
    assert shared.read_text() == f"{HASH}\n{NIC}\n"


def test_fix_leaves_to_the_user_what_a_rule_says(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = project / "config/rosk.yaml"
    settings.write_text(settings.read_text() + "lists:\n  rules:\n    - {glob: kernel/crypto/*, to: error}\n")
    (project / EXTRA).write_text("")
    error = refused(run_fix, options(project, as_json=True))
    assert error.exit_code == 3 and error.details == (f"{HASH} (rule kernel/crypto/*)",)
    told = json.loads(capsys.readouterr().out)
    assert told["added"] == {"core": [], "extra": [NIC]} and told["left"] == [HASH]
    assert (project / EXTRA).read_text() == f"{NIC}\n"


def test_check_does_not_name_fix_where_that_adds_nothing(project: Path) -> None:
    settings = project / "config/rosk.yaml"
    rule = "lists:\n  rules:\n    - {glob: kernel/crypto/*, to: error}\n"
    settings.write_text(settings.read_text() + rule)
    (project / EXTRA).write_text(f"{NIC}\n")
    assert refused(run_check, options(project)).hint.startswith("add each to modules.list")
    (project / EXTRA).write_text("")
    assert "`rosk lists fix` adds" in refused(run_check, options(project)).hint


def test_fix_removes_duplicates_only_when_asked(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twice = f"{HASH}\n{HASH}\n"
    (project / EXTRA).write_text(twice)
    assert "1 error" in refused(run_fix, options(project)).what
    run_fix(options(project), dry_run=True, remove_duplicates=True)
    assert (project / EXTRA).read_text() == twice
    assert f"-{HASH}\n" in capsys.readouterr().out
    run_fix(options(project), remove_duplicates=True)
    assert (project / EXTRA).read_text() == f"{HASH}\n{NIC}\n"


def test_why_for_people_and_for_programs(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_why("nic", options(project))
    out = capsys.readouterr().out
    assert NIC in out and f"{EXTRA}:2" in out and "nic/a.fw (in no list)" in out
    run_why("nic", options(project, as_json=True))
    (told,) = json.loads(capsys.readouterr().out)["modules"]
    assert told["lines"] == [f"{EXTRA}:2"] and told["package"] == "extras" and told["option"] is None


def test_a_release_of_another_architecture_tells_nothing(project: Path) -> None:
    for package in (project / "dist/kernel").iterdir():
        package.rename(package.with_name(package.name.replace("-x86.", "-arm64.")))
    assert "there is no release" in refused(run_check, options(project)).what


def test_a_damaged_release_is_refused(project: Path) -> None:
    package = project / f"dist/kernel/linux-{V}-x86.tar.gz"
    package.write_bytes(package.read_bytes()[:200])
    error = refused(run_check, options(project))
    assert error.where == package and "cannot be read" in error.what


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (Path.mkdir, "it is a folder"),
        (os.mkfifo, "a pipe"),
        (lambda path: path.symlink_to("absent.list"), r"it is a link to absent\.list, which is not there"),
    ],
)
def test_what_is_there_and_no_file_is_said(project: Path, make: Callable[[Path], None], what: str) -> None:
    (project / MAIN).unlink()
    make(project / MAIN)
    for error in (refused(run_check, options(project)), refused(load_project, project, arch="x86")):
        assert re.search(what, error.what) and error.where == project / MAIN and error.hint


def test_a_list_that_is_no_text_is_refused(project: Path) -> None:
    (project / MAIN).write_bytes(b"\x7fELF\xff")
    assert "not a text file" in refused(run_check, options(project)).what


def test_lists_that_lie_elsewhere_have_their_whole_path(tmp_path: Path) -> None:
    path = tmp_path / "shared/modules.list"
    files = Files(root=tmp_path / "project", inputs={"lists/modules.list": path})
    assert (files.name("lists/modules.list"), files.rename("in lists/modules.list")) == (str(path), f"in {path}")
