"""What `rosk headers test` says of what came of it, and what it refuses at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.text import Text

from builder.errors import BuildError, EngineError, InputError
from builder.headerstest.build import read_result
from builder.headerstest.consoles import find_consoles
from builder.headerstest.run import HeadersOptions, HeadersTest, as_json, check_keep, error_of, run_headers_test, text
from builder.releasefolder import ReleaseFolder
from tests.unit.headerstest.test_build import V, write_result
from tests.unit.headerstest.test_makelog import CLEAN, DIFFERS, TOO_OLD

RELEASE = ReleaseFolder(root=Path("dist"), kernel_folder=Path("dist/kernel"), v=V, a="x86", packages={})
BULLSEYE, BOOKWORM, TRIXIE = find_consoles(["bullseye", "bookworm", "trixie"])
REFUSED = EngineError("apt failed", hint="see the network", details=["E: no such host"])


@pytest.fixture
def mixed(tmp_path: Path) -> HeadersTest:
    """One that is too old, one that is well, one that could not be made."""
    old = read_result(BULLSEYE, write_result(tmp_path / "old", DIFFERS + TOO_OLD, code=2, modules=()), V)
    well = read_result(TRIXIE, write_result(tmp_path / "well"), V)
    return HeadersTest(release=RELEASE, tried=(old, well), unmade={BOOKWORM: REFUSED})


def test_the_text(mixed: HeadersTest) -> None:
    lines = [Text.from_markup(line).plain for line in text(mixed)]
    assert lines[0] == f"Headers of Linux {V} for x86, with no kernel source"
    assert lines[1] == "  failed  Debian 11 (bullseye)  glibc 2.31   gcc (Debian 10.2.1-6) 10.2.1 20210110"
    assert "gcc (Debian 14.2.0-19) 14.2.0" in lines[2]
    assert "CONFIG_INIT_STACK_ALL_ZERO" in lines[3]
    assert "CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT" in lines[4]
    assert lines[5].startswith("  ok      Debian 13 (trixie)")
    assert lines[6].strip() == "built without a warning: x.ko"
    assert lines[7].split(maxsplit=4) == ["none", "Debian", "12", "(bookworm)", "apt failed"]


def test_the_json(mixed: HeadersTest) -> None:
    found = json.loads(json.dumps(as_json(mixed)))
    assert (found["release"], found["ok"]) == (V, False)
    old, well = found["consoles"]
    assert (old["ok"], old["kernel_compiler"], old["modules"]) == (False, "gcc (Debian 14.2.0-19) 14.2.0", [])
    assert old["log"] == DIFFERS + TOO_OLD
    assert (well["ok"], well["kernel_compiler"], well["modules"]) == (True, well["compiler"], ["x.ko"])
    assert found["unmade"] == [{"name": "bookworm", "why": "apt failed"}]


def test_a_compiler_that_is_too_old_is_the_error(mixed: HeadersTest) -> None:
    error = error_of(mixed)
    assert isinstance(error, BuildError)
    assert error.what == "no module builds cleanly in: Debian 11 (bullseye)"
    assert "gcc (Debian 14.2.0-19) 14.2.0" in error.hint
    assert error.details[-1] == TOO_OLD.splitlines()[-1]


def test_another_failure_has_another_hint(tmp_path: Path) -> None:
    log = DIFFERS + CLEAN + "x.o: warning: objtool: f()\n"
    found = HeadersTest(release=RELEASE, tried=(read_result(BULLSEYE, write_result(tmp_path, log), V),), unmade={})
    assert "--keep" in error_of(found).hint


def test_a_console_that_could_not_be_made_is_the_engines_failure(tmp_path: Path) -> None:
    well = read_result(TRIXIE, write_result(tmp_path), V)
    error = error_of(HeadersTest(release=RELEASE, tried=(well,), unmade={BOOKWORM: REFUSED}))
    assert isinstance(error, EngineError)
    assert (error.what, error.hint) == ("1 of 2 consoles could not be made", "see the network")
    assert "E: no such host" in error.details


def test_all_is_well(tmp_path: Path) -> None:
    assert HeadersTest(release=RELEASE, tried=(read_result(TRIXIE, write_result(tmp_path), V),), unmade={}).ok


def test_no_release_and_a_foreign_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no kernel package"):
        run_headers_test(tmp_path, HeadersOptions())
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    (tmp_path / f"linux-{V}-arm64.tar.gz").touch()
    with pytest.raises(InputError, match="for arm64, and this machine is x86"):
        run_headers_test(tmp_path, HeadersOptions())


def test_a_folder_to_keep_in(tmp_path: Path) -> None:
    check_keep(None)
    check_keep(tmp_path)
    check_keep(tmp_path / "new")
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file"):
        with pytest.raises(InputError, match="no empty folder"):
            check_keep(place)
