"""A release's kernel in a checkout of each shape, and everything that stops it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from builder.errors import InputError, VerifyError
from builder.osrepo.install import InstallOptions, older, plan_install, run_install
from builder.releasefolder import find_release
from tests.unit.osrepo.checkouts import (
    BURMILLA_1_9,
    BURMILLA_2,
    KERNEL,
    RANCHER_0_5,
    RANCHER_0_8,
    RANCHER_1_5,
    values,
    write_checkout,
)
from tests.unit.verify.releases import V, release

BASE = "https://files.example/acme/"
ASSET = "assets/kernel.tar.gz"
DOCKERFILE = "Dockerfile.dapper"
SHAPES = {
    "rancher-0.5": RANCHER_0_5,
    "rancher-0.8": RANCHER_0_8,
    "rancher-1.5": RANCHER_1_5,
    "burmilla-1.9": BURMILLA_1_9,
    "burmilla-2": BURMILLA_2,
}
WITH_ASSET = [name for name in SHAPES if name != "rancher-0.5"]


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    return release(tmp_path / "dist", kernel={f"./boot/vmlinuz-{V}": b"x"})


@pytest.fixture
def arm(tmp_path: Path) -> Path:
    return release(tmp_path / "arm", a="arm64", kernel={f"./boot/vmlinuz-{V}": b"y"})


def checkout(tmp_path: Path, shape: str, *edit: tuple[str, str]) -> Path:
    """A checkout of a shape, with texts of its Dockerfile replaced."""
    root = write_checkout(tmp_path / "os", SHAPES[shape])
    text = (root / DOCKERFILE).read_bytes().decode()
    for old, new in edit:
        assert old in text
        text = text.replace(old, new)
    (root / DOCKERFILE).write_bytes(text.encode())
    return root


def install(root: Path, dist: Path, *, url: str | None = None, dry_run: bool = False, as_json: bool = False) -> None:
    run_install(root, InstallOptions(dist=dist, url=url, dry_run=dry_run, verify=False, as_json=as_json))


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def refused(root: Path, dist: Path, **given: object) -> InputError:
    """The error of an install that leaves every file as it was."""
    before = files(root)
    with pytest.raises(InputError) as caught:
        install(root, dist, **given)  # type: ignore[arg-type]
    assert files(root) == before
    return caught.value


def changed_lines(before: str, root: Path) -> list[str]:
    """The new lines of the Dockerfile; no line may have come or gone."""
    old, new = before.split("\n"), (root / DOCKERFILE).read_bytes().decode().split("\n")
    assert len(old) == len(new)
    return [after for known, after in zip(old, new, strict=True) if known != after]


@pytest.mark.parametrize("shape", WITH_ASSET)
def test_as_an_asset(tmp_path: Path, dist: Path, shape: str) -> None:
    root = checkout(tmp_path, shape)
    install(root, dist)
    assert (root / ASSET).read_bytes() == (dist / f"kernel/linux-{V}-x86.tar.gz").read_bytes()
    told = values(root)
    assert told["version"] == V
    assert told["url"] == ("skip" if shape == "burmilla-2" else "")
    assert told["OS_REPO"] == shape.partition("-")[0]
    assert len(changed_lines(SHAPES[shape][DOCKERFILE], root)) == 2


@pytest.mark.parametrize("shape", SHAPES)
def test_by_url(tmp_path: Path, dist: Path, shape: str) -> None:
    root = checkout(tmp_path, shape)
    install(root, dist, url=BASE)
    told = values(root)
    assert told["url"] == f"{BASE}linux-{V}-x86.tar.gz"
    assert told["version"] == ("" if shape == "rancher-0.5" else V)
    assert len(changed_lines(SHAPES[shape][DOCKERFILE], root)) == (1 if shape == "rancher-0.5" else 2)
    assert not (root / ASSET).exists()


def test_a_whole_url_is_taken_as_it_is(tmp_path: Path, dist: Path) -> None:
    root = checkout(tmp_path, "rancher-1.5")
    install(root, dist, url="https://files.example/k.tar.gz?token=1&x=2")
    assert values(root)["url"] == "https://files.example/k.tar.gz?token=1&x=2"


def test_the_url_follows_the_version_so_that_the_next_edit_is_one_line(tmp_path: Path, dist: Path) -> None:
    root = checkout(tmp_path, "rancher-1.5")
    install(root, dist, url=f"{BASE}v{V}/")
    assert "acme/v${KERNEL_VERSION}/linux-${KERNEL_VERSION}-x86.tar.gz" in (root / DOCKERFILE).read_text()
    before = (root / DOCKERFILE).read_text()
    install(root, release(tmp_path / "next", v="6.12.100-acme", kernel={"./x": b"x"}), url=f"{BASE}v6.12.100-acme/")
    assert changed_lines(before, root) == ["ARG KERNEL_VERSION=6.12.100-acme"]


def test_an_os_without_assets_takes_a_url_only(tmp_path: Path, dist: Path) -> None:
    error = refused(checkout(tmp_path, "rancher-0.5"), dist)
    assert "takes no assets/kernel.tar.gz" in error.what and "--url" in error.hint


@pytest.mark.parametrize("shape", SHAPES)
def test_arm64(tmp_path: Path, arm: Path, shape: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = checkout(tmp_path, shape)
    install(root, arm, url=BASE)
    assert values(root, "arm64")["url"] == f"{BASE}linux-{V}-arm64.tar.gz"
    assert values(root, "arm64")["version"] == (V if "1.5" in shape or "burmilla" in shape else "")
    if shape == "rancher-0.8":
        assert values(root)["version"] == "4.9.9-old"
    assert "ARCH=arm64 make release" in capsys.readouterr().out


def test_arm64_where_the_os_has_none(tmp_path: Path, arm: Path) -> None:
    line = "ARG KERNEL_URL_arm64=https://old.example/linux-4.4.0-arm64.tar.gz\n"
    assert "KERNEL_URL_arm64" in refused(checkout(tmp_path, "rancher-0.8", (line, "")), arm, url=BASE).what


def test_a_second_run_changes_nothing(tmp_path: Path, dist: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = checkout(tmp_path, "burmilla-2")
    install(root, dist)
    before = files(root)
    times = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    install(root, dist)
    assert files(root) == before and times == {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert "has this kernel already" in capsys.readouterr().out


def test_an_older_asset_is_replaced_and_stops_a_url(tmp_path: Path, dist: Path) -> None:
    root = checkout(tmp_path, "rancher-1.5")
    (root / ASSET).write_bytes(b"old")
    error = refused(root, dist, url=BASE)
    assert "wins over any download" in error.what and error.hint.startswith("rm ")
    install(root, dist)
    assert (root / ASSET).read_bytes() == (dist / f"kernel/linux-{V}-x86.tar.gz").read_bytes()


def test_line_ends_stay(tmp_path: Path, dist: Path) -> None:
    root = checkout(tmp_path, "rancher-1.5", ("\n", "\r\n"))
    before = (root / DOCKERFILE).read_bytes().decode()
    install(root, dist)
    assert changed_lines(before, root) == [f"ARG KERNEL_VERSION={V}\r", "ARG KERNEL_URL_amd64=\r"]


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (("ARG KERNEL_VERSION=4.14.138-old\n", "ARG KERNEL_VERSION=1\nARG KERNEL_VERSION=2\n"), "lines 5 and 6"),
        (("ARG KERNEL_URL_amd64=", "ARG KERNEL_URL_amd64=x\nARG KERNEL_URL_amd64="), "more than once"),
        (("ARG KERNEL_URL_amd64=", "ARG KERNEL_URL_mips64el="), "no line ARG KERNEL_URL_amd64="),
        (("ARG KERNEL_VERSION=4.14.138-old", "ARG KERNEL_VERSION=4.14.138-old \\"), "is not ARG KERNEL_VERSION=VALUE"),
        (("ARG KERNEL_VERSION=4.14.138-old", "ARG KERNEL_VERSION=1 OTHER=2"), "is not ARG KERNEL_VERSION=VALUE"),
        (("ARG KERNEL_VERSION=4.14.138-old", "ARG KERNEL_VERSION"), "is not ARG KERNEL_VERSION=VALUE"),
        (
            ("ARG KERNEL_VERSION=4.14.138-old", "ARG KERNEL_VERSION=4.14.138-old\nARG KERNEL_VERSION_amd64=4"),
            "both KERNEL_VERSION and KERNEL_VERSION_amd64",
        ),
    ],
)
def test_a_line_that_does_not_match_exactly_once(tmp_path: Path, dist: Path, edit: tuple[str, str], told: str) -> None:
    assert told in refused(checkout(tmp_path, "rancher-1.5", edit), dist).what


def test_a_version_that_does_not_exist_is_not_made_up(tmp_path: Path, dist: Path) -> None:
    for shape in ("rancher-1.5", "burmilla-2"):
        root = checkout(tmp_path / shape, shape)
        install(root, dist)
        assert "KERNEL_VERSION_amd64" not in (root / DOCKERFILE).read_text()
    root = checkout(tmp_path / "literal", "rancher-0.5")
    install(root, dist, url=BASE)
    assert "ARG KERNEL_VERSION=" not in (root / DOCKERFILE).read_text().replace("# ARG KERNEL_VERSION=", "")


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "has no Dockerfile.dapper"),
        ({"Dockerfile.dapper": "FROM scratch\nARG OS_REPO=rancher\n"}, "no ARG KERNEL_URL_amd64"),
        ({"Dockerfile.dapper": "FROM scratch\nARG KERNEL_URL_amd64=x\n"}, "beside ARG OS_REPO"),
        (KERNEL, "checkout of os-kernel"),
    ],
)
def test_what_is_no_os(tmp_path: Path, dist: Path, files: dict[str, str], told: str) -> None:
    assert told in refused(write_checkout(tmp_path / "os", files), dist).what


def test_a_folder_that_is_not_there(tmp_path: Path, dist: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        install(tmp_path / "none", dist)


@pytest.mark.parametrize("name", [DOCKERFILE, ASSET, "assets"])
def test_links_are_not_followed(tmp_path: Path, dist: Path, name: str) -> None:
    root = checkout(tmp_path, "rancher-1.5")
    (tmp_path / "outside").mkdir()
    path = root / name
    if name == ASSET:
        (tmp_path / "outside/target").write_text("theirs")
        path.symlink_to(tmp_path / "outside/target")
    else:
        path.rename(tmp_path / "outside/target")
        path.symlink_to(tmp_path / "outside/target")
    outside = files(tmp_path / "outside")
    with pytest.raises(InputError, match="link"):
        install(root, dist)
    assert files(tmp_path / "outside") == outside


@pytest.mark.parametrize(
    "url",
    [
        "ftp://files.example/k.tar.gz",
        "https://user:secret@files.example/k.tar.gz",
        "https://files.example/a b.tar.gz",
        "https://files.example/$(id).tar.gz",
        'https://files.example/".tar.gz',
        "https://files.example/k.tar.gz\nRUN id",
        "https://files.example/\\",
        "",
    ],
)
def test_a_url_that_cannot_stand_in_a_dockerfile(tmp_path: Path, dist: Path, url: str) -> None:
    assert "no URL" in refused(checkout(tmp_path, "rancher-1.5"), dist, url=url).what


def test_a_package_that_the_os_cannot_unpack(tmp_path: Path, dist: Path) -> None:
    package = dist / f"kernel/linux-{V}-x86.tar.gz"
    package.rename(package.with_name(f"linux-{V}-x86.tar.zst"))
    assert "gzip" in refused(checkout(tmp_path, "rancher-1.5"), dist).what


def test_a_package_whose_name_is_no_release(tmp_path: Path, dist: Path) -> None:
    package = dist / f"kernel/linux-{V}-x86.tar.gz"
    package.rename(package.with_name("linux-$(id)-x86.tar.gz"))
    assert "no kernel release" in refused(checkout(tmp_path, "rancher-1.5"), dist).what


@pytest.mark.host_programs
def test_a_release_that_does_not_pass_is_not_installed(tmp_path: Path, dist: Path) -> None:
    root = checkout(tmp_path, "rancher-1.5")
    before = files(root)
    with pytest.raises(VerifyError):
        run_install(root, InstallOptions(dist=dist))
    assert files(root) == before


def test_a_dry_run_shows_the_diff_and_writes_nothing(
    tmp_path: Path, dist: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = checkout(tmp_path, "rancher-1.5")
    before = files(root)
    install(root, dist, dry_run=True)
    out = capsys.readouterr().out.splitlines()
    assert files(root) == before
    assert out[0].startswith(f"+++ b/{ASSET}: ")
    assert [line for line in out if line.startswith("-ARG")] == [
        "-ARG KERNEL_VERSION=4.14.138-old",
        "-ARG KERNEL_URL_amd64=https://old.example/v${KERNEL_VERSION}/linux-${KERNEL_VERSION}-x86.tar.gz",
    ]
    assert [line for line in out if line.startswith("+ARG")] == [f"+ARG KERNEL_VERSION={V}", "+ARG KERNEL_URL_amd64="]


@pytest.mark.parametrize(
    ("shape", "host", "command"),
    [
        ("rancher-1.5", "6.1.0-44-amd64", "KERNEL_CHECK=0 make release"),
        ("rancher-1.5", "6.13.0", "make release"),
        ("rancher-0.8", "6.1.0-44-amd64", "make release"),
        ("burmilla-2", "6.1.0-44-amd64", "make release"),
    ],
)
def test_what_to_run_next(tmp_path: Path, dist: Path, shape: str, host: str, command: str) -> None:
    root = checkout(tmp_path, shape)
    found = plan_install(root, find_release(dist), url=None, host=host)
    assert found.commands == (f"cd {root}", command)
    assert any("KERNEL_CHECK=0" in note for note in found.notes) == (shape == "rancher-1.5")


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        ("6.1.0-44-amd64", "6.12.99-acme", True),
        ("6.12.99-acme", "6.12.99-acme", False),
        ("6.12.100", "6.12.99-acme", False),
        ("4.9.0", "4.14.138-old", True),
        ("6.12.99", "6.12.99-acme", True),
    ],
)
def test_which_kernel_is_older(one: str, other: str, wanted: bool) -> None:
    assert older(one, other) is wanted


def test_json_says_what_was_done(tmp_path: Path, dist: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = checkout(tmp_path, "burmilla-2")
    install(root, dist, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["os"], told["release"], told["arch"], told["written"]) == ("BurmillaOS", V, "x86", True)
    assert told["files"] == [ASSET, DOCKERFILE] and told["next"][-1] == "make release"


def test_a_failure_between_two_files_undoes_the_first(
    tmp_path: Path, dist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = checkout(tmp_path, "rancher-1.5")
    (root / ASSET).write_bytes(b"old")
    before = files(root)
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if Path(target) == root / DOCKERFILE and not self.name.endswith(".before"):
            raise OSError(5, "Input/output error", str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(InputError, match="Input/output error"):
        install(root, dist)
    monkeypatch.undo()
    assert files(root) == before


def test_a_failure_while_files_are_staged_leaves_no_trace(
    tmp_path: Path, dist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = checkout(tmp_path, "rancher-1.5")
    shutil.rmtree(root / "assets")
    before = sorted(root.rglob("*"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(Exception, match="no space left"):
        install(root, dist)
    assert sorted(root.rglob("*")) == before


@pytest.mark.host_programs
def test_what_was_changed_before_is_said(tmp_path: Path, dist: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = checkout(tmp_path, "rancher-1.5")
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=root, check=True)
    install(root, dist, dry_run=True)
    assert "warning" not in capsys.readouterr().out
    (root / "scripts/layout").write_text("changed\n")
    install(root, dist, dry_run=True)
    assert "warning: scripts/layout had been changed before" in capsys.readouterr().out
