"""What is known of the release before: packages that are the same are not read again, and all else is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builder.proof import FAST, Ahead
from builder.release import MANIFEST, VERIFY, describe
from builder.releasefolder import find_release
from builder.report.kept import write_kept
from builder.verify.model import CHECKS
from builder.verify.proved import checked_by, read_proved
from builder.verify.run import as_json, examine
from builder.verify.unpack import Contents, read_member, read_package
from tests.unit.verify.releases import Files, V, package, release
from tests.unit.verify.subjects import BOOT
from tests.unit.verify.test_headers import COMPLETE, KERNEL

CODE = "of this build"
CONFIG = KERNEL[f"./boot/config-{V}"]
HEADERS = {
    **COMPLETE,
    "./include/config/kernel.release": V.encode(),
    "./include/generated/utsrelease.h": f'#define UTS_RELEASE "{V}"\n'.encode(),
}
CHECKS_OF_HEADERS = [name for name, check in CHECKS.items() if check.of == "headers"]


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """A release that has passed."""
    return passed(made(tmp_path / "dist"))


def made(root: Path, *, kernel: Files | None = None, headers: Files | None = None, config: bytes = CONFIG) -> Path:
    shutil.rmtree(root, ignore_errors=True)
    boot = {**BOOT, f"./boot/config-{V}": config, **(kernel or {})}
    release(root, kernel=boot, extras={}, headers={**HEADERS, "./.config": config, **(headers or {})})
    (root / "kernel/config").write_bytes(config)
    return root


def passed(root: Path, code: str = CODE, **changes: Any) -> Path:
    """Write of a release what a build keeps of it."""
    outputs = {f"kernel/{path.name}": describe(path) for path in (root / "kernel").iterdir()}
    (root / MANIFEST).write_text(json.dumps({"outputs": outputs}))
    of_packages = ("readable", *(name for name in CHECKS if name.startswith("member")))
    result = as_json(examine(root, cheap=True, only=(*of_packages, *CHECKS_OF_HEADERS)), FAST)
    assert result["passed"], result
    write_kept(root, VERIFY, {**checked_by(code), **result, **changes})
    return root


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the packages that are read as a whole."""
    names: list[str] = []

    def recorded(package: Path, *args: Any, **options: Any) -> Contents:
        names.append(package.name)
        return read_package(package, *args, **options)

    monkeypatch.setattr("builder.verify.subject.read_package", recorded)
    return names


def look(root: Path, dist: Path, code: str = CODE) -> None:
    """Look at a release with what is known of the one in dist; what is found is what is found without that."""
    results = examine(root, cheap=True, proved=read_proved(dist, code)).results
    assert results == examine_anew(root)


def examine_anew(root: Path) -> tuple[Any, ...]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builder.verify.subject.read_package", read_package)
        return examine(root, cheap=True).results


def of_headers(read: list[str]) -> int:
    return sum(name.startswith("build-") for name in read)


@pytest.mark.host_programs
def test_headers_that_are_the_same_are_not_read(tmp_path: Path, dist: Path, read: list[str]) -> None:
    look(made(tmp_path / "new", kernel={"./lib/firmware/nic.bin": b"x"}), dist)
    assert read and not of_headers(read)


@pytest.mark.host_programs
@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"headers": {"./include/x.h": b""}}, id="other headers"),
        pytest.param({"headers": {"./scripts/mod/signing_key.priv": b""}}, id="bad headers"),
        pytest.param({"config": CONFIG + b"CONFIG_GCC_PLUGINS=y\n"}, id="another config"),
    ],
)
def test_others_are(tmp_path: Path, dist: Path, read: list[str], change: dict[str, Any]) -> None:
    look(made(tmp_path / "new", **change), dist)
    assert of_headers(read) == 1


def test_a_file_at_the_start_is_not_looked_for_at_the_end(tmp_path: Path) -> None:
    path = package(tmp_path / "build-linux-1-x86.tar.gz", {"./.config": b"x", "./link": ".config", "./z": b"z" * 9999})
    assert read_member(path, ".config") == b"x"
    assert read_member(path, "link") is None
    assert read_member(path, "none") is None
    path.write_bytes(path.read_bytes()[:-20])
    assert read_member(path, ".config") == b"x"


def another_manifest(dist: Path) -> None:
    (dist / MANIFEST).write_text((dist / MANIFEST).read_text() + "\n")


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda dist: passed(dist, code="other"), id="other code"),
        pytest.param(lambda dist: passed(dist, passed=False), id="it did not pass"),
        pytest.param(another_manifest, id="another manifest"),
        pytest.param(lambda dist: (dist / VERIFY).write_text('{"checked_by": '), id="half a file"),
        pytest.param(lambda dist: (dist / VERIFY).write_text("[]"), id="of another form"),
        pytest.param(lambda dist: (dist / VERIFY).unlink(), id="nothing"),
    ],
)
def test_what_is_not_known(dist: Path, spoil: Callable[[Path], object]) -> None:
    assert read_proved(dist, CODE) is not None
    spoil(dist)
    assert read_proved(dist, CODE) is None


@pytest.mark.host_programs
def test_what_a_check_did_not_find_good_is_looked_at(tmp_path: Path, dist: Path, read: list[str]) -> None:
    """One that could not be done then, for example."""
    told = json.loads((dist / VERIFY).read_text())
    checks = [row if row["name"] != "headers-secrets" else {**row, "status": "unchecked"} for row in told["checks"]]
    passed(dist, checks=checks)
    read.clear()
    look(made(tmp_path / "new", kernel={"./lib/firmware/nic.bin": b"x"}), dist)
    assert of_headers(read) == 1


@pytest.mark.host_programs
def test_it_is_known_ahead(tmp_path: Path, dist: Path, read: list[str]) -> None:
    ahead = Ahead(read_proved(dist, CODE))
    root = made(tmp_path / "new", kernel={"./lib/firmware/nic.bin": b"x"})
    ahead.look(root)
    assert ahead.subject is not None and set(ahead.subject.packages) == {"kernel", "extras"}
    assert examine(root, cheap=True, ahead=ahead.subject).results == examine_anew(root)
    assert not of_headers(read)
    ahead.close()
    assert find_release(root).v == V
