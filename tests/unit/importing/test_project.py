"""`rosk import`: checkouts of each layout become projects that load, and the report says all that did not come over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import builder.cli.project  # noqa: F401 - the commands are registered by it
from builder.cli.app import app
from builder.errors import InputError
from builder.importing.project import import_project
from builder.importing.report import WIDTH, Item, Report
from builder.importing.run import run_import
from builder.project import load_project
from builder.settings import load_settings
from tests.unit.importing.checkouts import ARCHES, BARE, FLAT, PATCH, config, write_checkout


def imported(root: Path, files: dict[str, str], **changed: str | None) -> tuple[Path, Report]:
    target = root / "project"
    return target, import_project(write_checkout(root / "checkout", files, **changed), target)


def said(items: list[Item], what: str) -> str:
    """What the report says of something."""
    return " | ".join(item.why for item in items if what in item.what)


def test_a_folder_for_each_architecture(tmp_path: Path) -> None:
    target, report = imported(tmp_path, ARCHES)
    for arch in ("x86", "arm64"):
        project = load_project(target, arch=arch)
        assert project.inputs["config/kernel-config"].read_text() == ARCHES[f"config/{arch}/kernel-config"]
        for name in ("modules.list", "modules-extra.list"):
            assert project.inputs[f"lists/{name}"].read_text() == ARCHES[f"modules/{arch}/{name}"]
        assert project.inputs["lists/firmware.list"].read_text() == ARCHES[f"firmware/{arch}/firmware"]
        assert project.release("6.12.21") == "6.12.21-acme"
        assert project.image("os-kernel", "V").startswith("acme/os-kernel:V")
        assert "hooks/01-driver" in project.inputs
    assert project.source.version == "6.12.21"
    assert load_project(target, arch="x86").inputs["patches/main.patch"].read_text() == PATCH
    assert report.facts["arches"] == "x86, arm64"
    assert "the header of config/x86/kernel-config" in report.facts["kernel"]


def test_the_settings(tmp_path: Path) -> None:
    target, _ = imported(tmp_path, ARCHES)
    settings = load_settings(target / "config/rosk.yaml")
    assert (settings.kernel.source, settings.kernel.version) == ("kernel.org", "6.12.21")
    assert (settings.toolchain.suite, settings.toolchain.packages) == ("bookworm", ("openssl",))
    assert settings.firmware.source == "debian"
    assert settings.firmware.packages == ("firmware-misc-nonfree", "firmware-realtek")
    text = (target / "config/rosk.yaml").read_text()
    assert "#   path: linux-firmware-20240101.tar.xz" in text
    assert "\n# architectures: [x86, arm64]\n" in text  # a project that needs no cross compiler gets none
    assert all(len(line) <= 120 for line in text.splitlines())
    assert (target / "config/rosk.schema.json").is_file()
    assert (target / "lists/x86/firmware-extra.list").read_text().endswith("\n*\n")
    assert (target / ".gitignore").read_text() == "/dist/\n"


def test_a_checksum_that_is_known_is_pinned(tmp_path: Path) -> None:
    target, _ = imported(tmp_path, ARCHES, **{"config/x86/kernel-config": config("6.12.64")})
    assert (load_settings(target / "config/rosk.yaml").kernel.sha256 or "").startswith("d1ad94a3")


def test_x86_alone(tmp_path: Path) -> None:
    target, report = imported(tmp_path, FLAT)
    project = load_project(target, arch="x86")
    assert project.release("4.8.17") == "4.8.17-acme-edge"
    assert project.org == "acme"
    assert list(project.inputs)[-1] == "patches/main.patch"
    assert "is listed twice, and a comment now (line 2 of modules.list)" in said(report.changed, "x86/modules.list")
    assert "is in modules.list too, which wins" in said(report.changed, "x86/modules-extra.list")
    assert "was made for Linux 4.9.2, and the project is for 4.8.17" in said(report.changed, "kernel-config")


def test_no_module_lists(tmp_path: Path) -> None:
    target, report = imported(tmp_path, BARE)
    load_project(target, arch="x86")
    assert (target / "lists/x86/modules.list").read_text().endswith("\n*\n")
    assert "one package had the whole kernel" in said(report.changed, "modules.list")
    assert "here it is kernel.org's 4.2.8" in said(report.left, "scripts/build-common:1")
    assert not (target / "lists/x86/firmware-extra.list").exists()


@pytest.mark.parametrize("files", [ARCHES, FLAT, BARE])
def test_every_file_is_in_the_report(tmp_path: Path, files: dict[str, str]) -> None:
    more = {"scripts/hooks/deep/x": "x", "notes.txt": "x", "patches/x.diff": "x", "images/20-own/Dockerfile": "x"}
    _, report = imported(tmp_path, files, **more)
    text = " ".join(item.what + item.why for item in (*report.taken, *report.left))
    assert [name for name in {**files, **more} if name not in text and "mips" not in name] == []


def test_what_is_not_taken_over(tmp_path: Path) -> None:
    _, report = imported(tmp_path, ARCHES, **{"dist/kernel/config": "CONFIG_A=y\n"})
    left = {item.what: item.why for item in report.left}
    why = left["config/mips, modules/mips, firmware/mips"]
    assert why == "4 files for mips: rosk builds for x86 and arm64 only; its lists have 2 lines"
    assert left["dist/"] == "was left by its build"
    assert "curl -fL ${!DOCKER_URL}" in left["Dockerfile.dapper:13"]
    assert "installs u-boot-tools:" in left["Dockerfile.dapper:2"]
    assert "is known to have it; the line is kept" in left["firmware/x86/firmware: acenic/tg1.bin"]
    assert "rosk makes the image os-extras itself" in left["images/10-extras/Dockerfile"]


def test_a_hook_of_the_build_container_is_there_but_not_run(tmp_path: Path) -> None:
    target, report = imported(tmp_path, ARCHES, **{"scripts/hooks/02-bad": "#!/bin/sh\ncd ${BUILD}\n"})
    assert (target / "hooks/02-bad").read_text() == "#!/bin/sh\ncd ${BUILD}\n"
    inputs = load_project(target, arch="x86").inputs
    assert "hooks/02-bad" not in inputs
    assert "hooks/01-driver" in inputs
    assert "${BUILD is a variable of the build container" in said(report.left, "scripts/hooks/02-bad:2")


def test_patches(tmp_path: Path) -> None:
    more = {
        "patches/x86/bad.patch": "hello\n",
        "patches/x86/p0.patch": PATCH.replace("a/", "").replace("b/", ""),
        "patches/x86/net/one.patch": PATCH,
    }
    target, report = imported(tmp_path, ARCHES, **more)
    assert sorted(path.name for path in (target / "patches/x86").iterdir()) == ["main.patch", "net-one.patch"]
    assert "no unified diff" in said(report.left, "patches/x86/bad.patch:1")
    assert "as for patch -p0" in said(report.left, "patches/x86/p0.patch:1")
    assert "in the order of their names (main.patch, net-one.patch)" in said(report.changed, "patches/x86")


def test_options_that_name_files(tmp_path: Path) -> None:
    text = config("6.12.21", more='CONFIG_SYSTEM_TRUSTED_KEYS="acme.pem"\nCONFIG_EXTRA_FIRMWARE=""\n')
    _, report = imported(tmp_path, ARCHES, **{"config/x86/kernel-config": text})
    assert "SYSTEM_TRUSTED_KEYS" in said(report.left, "config/x86/kernel-config:7")
    assert "EXTRA_FIRMWARE" not in said(report.left, "config/x86/kernel-config")


@pytest.mark.parametrize(
    ("file", "text", "where", "why"),
    [
        ("config/arm64/kernel-config", "<html>\n", "config/arm64/kernel-config:1", "HTML page"),
        ("config/arm64/kernel-config", None, "arm64", "it has no config/ARCH/kernel-config"),
        ("modules/arm64/modules.list", "a\0b\n", "arm64", "modules/arm64/modules.list is no list"),
    ],
)
def test_an_architecture_with_a_wrong_file(tmp_path: Path, file: str, text: str | None, where: str, why: str) -> None:
    target, report = imported(tmp_path, ARCHES, **{file: text})
    load_project(target, arch="x86")
    assert report.facts["arches"] == "x86"
    assert not (target / "config/arm64").exists()
    assert why in said(report.left, where)
    assert "belongs to arm64, which was not taken over" in said(report.left, "modules/arm64/modules-extra.list")


def test_what_is_left_because_of_an_error_comes_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {"config/arm64/kernel-config": "<html>\n", "patches/x86/b.patch": "words\n"}
    _, report = imported(tmp_path, ARCHES, **wrong)
    lines = report.text().splitlines()
    at = lines.index("not taken over, because of an error:")
    assert at < lines.index("taken over:") < lines.index("not taken over:")
    assert lines[at + 2].startswith("  config/arm64/kernel-config:1: the file is an HTML page")
    assert next(item.what for item in report.left if item.error) == "patches/x86/b.patch:1"
    run_import(tmp_path / "checkout", tmp_path / "again", version=None, force=False, as_json=True)
    printed = capsys.readouterr()
    assert "not taken over: config/arm64/kernel-config:1: " in printed.err and "README" not in printed.err
    assert [item["what"] for item in json.loads(printed.out)["left"] if item["error"]] == [
        item.what for item in report.left if item.error
    ]


def test_one_byte_that_is_not_utf8_loses_no_architecture(tmp_path: Path) -> None:
    checkout = write_checkout(tmp_path / "checkout", ARCHES)
    for name, line in (("config/x86/kernel-config", b"# f\xfcr\n"), ("modules/x86/modules.list", b"# gr\xfc\xdfe\n")):
        (checkout / name).write_bytes((checkout / name).read_bytes() + line)
    report = import_project(checkout, tmp_path / "project")
    assert report.facts["arches"] == "x86, arm64" and not report.errors
    assert "# für\n" in (tmp_path / "project/config/x86/kernel-config").read_text()
    assert "# grüße\n" in (tmp_path / "project/lists/x86/modules.list").read_text()
    assert "is not UTF-8: the file was read as Latin-1" in said(report.changed, "config/x86/kernel-config:8")
    assert "is not UTF-8" in said(report.changed, "modules/x86/modules.list:2")


def test_lines_are_as_wide_as_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_checkout(tmp_path / "checkout", ARCHES)
    for columns, widest in (("60", 60), (None, WIDTH)):
        monkeypatch.delenv("COLUMNS", raising=False)
        if columns:
            monkeypatch.setenv("COLUMNS", columns)
        run_import(tmp_path / "checkout", tmp_path / f"to-{columns}", version=None, force=False, as_json=False)
        said, _, _ = capsys.readouterr().out.partition("\nnext:\n")
        assert widest - 20 < max(len(line) for line in said.splitlines()[1:]) <= widest


def test_an_org_that_cannot_be_one_is_told(tmp_path: Path) -> None:
    dapper = ARCHES["Dockerfile.dapper"].replace("ARG OS_REPO=acme", "ARG OS_REPO=Acme!")
    _, report = imported(tmp_path, ARCHES, **{"Dockerfile.dapper": dapper})
    assert report.facts["org"].startswith("acme (CONFIG_LOCALVERSION")
    (told,) = [item for item in report.left if item.error]
    assert told.what == "Dockerfile.dapper:5" and told.why.startswith("OS_REPO cannot be the org: ")
    assert told.why.endswith("; it is acme now, by CONFIG_LOCALVERSION")


def test_nothing_that_can_be_taken_over(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no architecture of the checkout can be taken over") as error:
        imported(tmp_path, FLAT, **{"config/kernel-config": "hello\n"})
    assert "not a line of a kernel config" in error.value.details[0]
    assert not (tmp_path / "project").exists()


def test_suffixes_that_differ(tmp_path: Path) -> None:
    arm64 = config("6.12.1", "arm64", suffix="-edge")
    target, report = imported(tmp_path, ARCHES, **{"config/arm64/kernel-config": arm64})
    assert load_project(target, arch="arm64").localversion == "-acme"
    assert "it differs (acme, edge)" in said(report.left, "CONFIG_LOCALVERSION")


def test_nothing_found_gets_out_of_a_comment(tmp_path: Path) -> None:
    dapper = ARCHES["Dockerfile.dapper"].replace("20240101", "1\u2028evil:x")
    target, _ = imported(tmp_path, ARCHES, **{"Dockerfile.dapper": dapper})
    load_settings(target / "config/rosk.yaml")
    _, report = imported(tmp_path / "second", ARCHES, **{"notes\x1b[31m.txt": "x"})
    assert "\x1b" not in report.text()
    assert "notes?[31m.txt" in report.text()


def test_in_its_own_place(tmp_path: Path) -> None:
    checkout = write_checkout(tmp_path, ARCHES)
    with pytest.raises(InputError, match="the folder is not empty"):
        import_project(checkout, checkout)
    import_project(checkout, checkout, force=True)
    load_project(checkout, arch="x86")
    assert {name for name in ARCHES if not (checkout / name).exists()} == set()
    first = (checkout / "config/rosk.yaml").read_bytes()
    import_project(checkout, checkout, force=True)
    assert (checkout / "config/rosk.yaml").read_bytes() == first


def test_a_wrong_file_that_was_there_stops_it(tmp_path: Path) -> None:
    (tmp_path / "project/patches/x86").mkdir(parents=True)
    (tmp_path / "project/patches/x86/mine.patch").write_text("hello\n")
    checkout = write_checkout(tmp_path / "checkout", ARCHES)
    with pytest.raises(InputError, match=r"^patches/x86/mine.patch:1: the patch holds no unified diff"):
        import_project(checkout, tmp_path / "project", force=True)
    assert [path.name for path in (tmp_path / "project").iterdir()] == ["patches"]


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_checkout(tmp_path / "os-kernel", ARCHES)
    done = CliRunner().invoke(app, ["import", "os-kernel", "--json"], env={"KERNEL_TAG": "6.12.30"})
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["project"] == str(tmp_path / "os-kernel-rosk")
    assert report["facts"]["kernel"].startswith("6.12.30 ")
    assert {"what", "why", "error"} == set(report["left"][0])
    done = CliRunner().invoke(app, ["import", "os-kernel", "--into", "other"])
    assert "not taken over:\n" in done.stdout
    assert f"  rosk build -C {tmp_path / 'other'}" in done.stdout
    done = CliRunner().invoke(app, ["import", "os-kernel", "--into", "other"])
    assert isinstance(done.exception, InputError)
