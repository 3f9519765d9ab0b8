"""How checks are run, and what is said of what they find: whatever a release or a check does, there is a report."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builder.errors import InputError, InterruptedBuild, NoSpaceError, RoskError, VerifyError
from builder.releasefolder import find_release
from builder.stages.common import StageError
from builder.verify import run
from builder.verify.model import CHECKS, Finding, MissingProgram, Status, check, shown, skipped, unchecked, verdict
from builder.verify.run import SHOWN_DETAILS, VerifyOptions, choose, examine, run_verify
from builder.verify.subject import Subject, Unreadable
from tests.unit.verify.releases import V, release


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return release(tmp_path / "dist", kernel={"./boot/config": b"x"})


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No checks but those that a test defines."""
    before = dict(CHECKS)
    CHECKS.clear()
    yield
    CHECKS.clear()
    CHECKS.update(before)


def define(name: str, found: Finding | BaseException, *, cheap: bool = True) -> None:
    @check(name, meaning=f"the meaning of {name}", cheap=cheap)
    def run_it(_subject: Subject) -> Finding:
        if isinstance(found, BaseException):
            raise found
        return found


def one(root: Path, found: Finding | BaseException) -> Finding:
    define("it", found)
    (result,) = examine(root, cheap=True).results
    return result.finding


@pytest.mark.usefixtures("checks")
@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (Unreadable("the headers package cannot be read"), Status.SKIPPED, "the headers package cannot be read"),
        (MissingProgram("zstd"), Status.UNCHECKED, "zstd is not installed"),
        (RoskError("tar failed", where="x"), Status.FAILED, "x: tar failed"),
        (StageError("no ELF file"), Status.UNCHECKED, "StageError: no ELF file"),
        (KeyError("v"), Status.UNCHECKED, "KeyError: 'v'"),
        (RecursionError("deep"), Status.UNCHECKED, "RecursionError: deep"),
        (PermissionError(errno.EACCES, "Permission denied"), Status.FAILED, "Permission denied"),
    ],
)
def test_what_a_check_raises_is_a_finding(root: Path, raised: Exception, status: Status, said: str) -> None:
    finding = one(root, raised)
    assert finding.status is status
    assert said in "\n".join((finding.saw, *finding.details))


@pytest.mark.usefixtures("checks")
@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (InterruptedBuild("stopped"), InterruptedBuild),
        (NoSpaceError("full"), NoSpaceError),
        (OSError(errno.ENOSPC, "No space left on device"), NoSpaceError),
    ],
)
def test_what_is_no_fault_of_the_release_is_raised(root: Path, raised: Exception, seen: type[RoskError]) -> None:
    with pytest.raises(seen):
        one(root, raised)


@pytest.mark.usefixtures("checks")
@pytest.mark.parametrize("raised", [None, Unreadable("no package"), OSError(errno.ENOSPC, "full"), KeyError("x")])
def test_what_is_begun_ahead(root: Path, raised: Exception | None) -> None:
    """All of it before the first check; what is wrong with it is for the check to say."""
    done: list[str] = []

    def begin(_subject: Subject) -> None:
        done.append("begun")
        if raised is not None:
            raise raised

    for name in ("first", "second"):

        @check(name, meaning="", ahead=begin)
        def look(_subject: Subject) -> Finding:
            done.append("run")
            return verdict("seen")

    assert [result.finding.saw for result in examine(root, cheap=True).results] == ["seen", "seen"]
    assert done == ["begun", "begun", "run", "run"]


@pytest.mark.usefixtures("checks")
def test_a_stop_of_what_is_begun_ahead(root: Path) -> None:
    def begin(_subject: Subject) -> None:
        raise InterruptedBuild("stopped")

    @check("it", meaning="", ahead=begin)
    def look(_subject: Subject) -> Finding:
        return verdict("seen")

    with pytest.raises(InterruptedBuild):
        examine(root, cheap=True)


@pytest.mark.usefixtures("checks")
def test_the_folder_of_unpacked_packages_is_gone_afterwards(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []

    @check("it", meaning="")
    def look(subject: Subject) -> Finding:
        seen.append(subject.tree("kernel") / "boot/config")
        return verdict(seen[0].read_text())

    (result,) = examine(root, cheap=True).results
    assert result.finding.saw == "x"
    assert not seen[0].exists()
    assert not seen[0].parent.parent.parent.exists()


def test_where_packages_are_unpacked(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In memory only for what is done after every build, and where TMPDIR does not say otherwise."""
    found = find_release(root)
    monkeypatch.delenv("TMPDIR", raising=False)
    with run.temporary_folder(found, cheap=False) as folder:
        assert not folder.is_relative_to("/dev/shm")
    monkeypatch.setattr(run, "_ROOM", 1 << 40)
    with run.temporary_folder(found, cheap=True) as folder:
        assert not folder.is_relative_to("/dev/shm")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert run._memory(found) is None


@pytest.mark.usefixtures("checks")
def test_which_checks_run(root: Path) -> None:
    define("first", verdict("1"))
    define("second", verdict("2"), cheap=False)
    define("third", verdict("3"))
    assert [each.name for each in choose((), cheap=False)] == ["first", "second", "third"]
    assert [each.name for each in choose((), cheap=True)] == ["first", "third"]
    assert [each.name for each in choose(("third", "first"), cheap=False)] == ["first", "third"]
    with pytest.raises(InputError, match="'secnd'") as caught:
        choose(("secnd",), cheap=False)
    assert caught.value.hint == "did you mean second?"
    with pytest.raises(InputError, match="second is none of the fast checks"):
        choose(("second",), cheap=True)


def test_every_check_says_what_it_means() -> None:
    for name, each in CHECKS.items():
        assert name == each.name == name.lower()
        assert " " not in name
        assert each.meaning and not each.meaning.endswith(".")
        assert each.run.__module__ in {module.__name__ for module in run.MODULES}


@pytest.mark.usefixtures("checks")
@pytest.mark.parametrize("options", [VerifyOptions(), VerifyOptions(as_json=True)], ids=["text", "json"])
def test_a_good_release(root: Path, capsys: pytest.CaptureFixture[str], options: VerifyOptions) -> None:
    define("good", verdict("3 files"))
    define("other", skipped("there is no such thing"))
    report = run_verify(root, options)
    assert not report.failed
    out = capsys.readouterr().out
    if options.as_json:
        assert json.loads(out) == {
            "release": V,
            "arch": "x86",
            "folder": str(root),
            "passed": True,
            "checks": [
                {"name": "good", "status": "ok", "saw": "3 files", "details": [], "meaning": "the meaning of good"},
                {
                    "name": "other",
                    "status": "skipped",
                    "saw": "there is no such thing",
                    "details": [],
                    "meaning": "the meaning of other",
                },
            ],
        }
    else:
        assert out.splitlines()[1:] == [
            "  ok         good   3 files",
            "  skipped    other  there is no such thing",
            "2 checks: 1 ok, 1 skipped",
        ]


@pytest.mark.usefixtures("checks")
def test_a_bad_release(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    define("good", verdict("fine"))
    define("bad", verdict("30 files", [f"[red]file {number}" for number in range(30)]))
    with pytest.raises(VerifyError, match="1 of 2 checks failed: bad") as caught:
        run_verify(root, VerifyOptions())
    assert caught.value.exit_code == 10
    out = capsys.readouterr().out
    assert "  failed     bad   30 files; wrong: 30\n             [red]file 0\n" in out
    assert out.count("[red]file") == SHOWN_DETAILS
    assert "and 10 more" in out
    assert "it means: the meaning of bad" in out
    with pytest.raises(VerifyError):
        run_verify(root, VerifyOptions(as_json=True))
    told = json.loads(capsys.readouterr().out)
    assert not told["passed"]
    assert len(told["checks"][1]["details"]) == 30


@pytest.mark.usefixtures("checks")
def test_what_could_not_be_checked_fails_unless_it_is_allowed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    define("good", verdict("fine"))
    define("other", unchecked("busybox"))
    with pytest.raises(VerifyError, match="1 of 2 checks could not be done: other"):
        run_verify(root, VerifyOptions())
    assert "  unchecked  other  busybox is not installed" in capsys.readouterr().out
    assert run_verify(root, VerifyOptions(allow_unchecked=True)).unchecked
    capsys.readouterr()


@pytest.mark.usefixtures("checks")
@pytest.mark.parametrize("make", [lambda text: verdict(text, [text]), skipped], ids=["verdict", "skipped"])
def test_names_in_an_archive_do_not_steer_a_terminal(
    root: Path, capsys: pytest.CaptureFixture[str], make: Callable[[str], Finding]
) -> None:
    define("it", make("a\x1b[2Jb\nc\udcffd é"))
    define("error", ValueError("\x1b[2J"))
    with pytest.raises(VerifyError):
        run_verify(root, VerifyOptions())
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert r"a\x1b[2Jb\nc\udcffd é" in out


@pytest.mark.parametrize("text", ["plain", "ü [bold] …", "", "a\\b"])
def test_what_can_be_printed_is_left_alone(text: str) -> None:
    assert shown(text) == text


def test_no_release(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no kernel package"):
        examine(tmp_path, cheap=True)


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    run.print_checks()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(CHECKS)
    assert {line.split()[1] for line in lines} == {"fast", "slow"}


@pytest.mark.usefixtures("checks")
def test_a_file_that_cannot_be_read_is_no_error_of_the_check(root: Path) -> None:
    finding = one(root, PermissionError(errno.EACCES, "Permission denied", "dist/SHA256SUMS"))
    assert (finding.status, finding.details) == (Status.FAILED, ("Permission denied: dist/SHA256SUMS",))
    assert "report" not in finding.saw
