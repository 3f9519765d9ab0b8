"""The model of a report: from a folder that has everything to one that has little, or what is not true."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from builder.errors import InputError
from builder.releasefolder import find_release
from builder.report.data import report_model, subsystem
from builder.report.run import read_release
from tests.unit.report.releases import BOOT, MODULES, VERIFY, V, build_facts, write_json, write_release


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_release(tmp_path / "dist")


def model(root: Path) -> dict[str, Any]:
    return report_model(read_release(find_release(root)))


def module(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(row for row in found["modules"] if row["path"].endswith(f"/{name}.ko"))


def option(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(row for row in found["config"]["options"] if row["name"] == name)


class TestModules:
    def test_from_the_build(self, root: Path) -> None:
        write_json(root / "build.json", build_facts())
        found = model(root)
        assert [row["path"] for row in found["modules"]] == sorted(MODULES)
        assert module(found, "btrfs") == {
            "path": "kernel/fs/btrfs/btrfs.ko",
            "package": "kernel",
            "subsystem": "fs",
            "size": 1_500_000,
            "option": "BTRFS_FS",
            "needs": ["kernel/lib/libcrc32c.ko", "kernel/crypto/xor.ko"],
            "license": "GPL",
            "listed": True,
        }

    def test_from_the_packages(self, root: Path) -> None:
        """With no word from the build, the modules themselves are read: also what extras need of the kernel package."""
        found = model(root)
        assert [row["path"] for row in found["modules"]] == sorted(MODULES)
        assert module(found, "btrfs")["softdeps"] == ["blake2b-256"]
        assert module(found, "iwlwifi")["package"] == "extras"
        assert module(found, "iwlwifi")["needs"] == ["kernel/lib/libcrc32c.ko"]
        assert found["gaps"] == []

    @pytest.mark.parametrize("built", [True, False])
    def test_firmware_that_does_not_ship(self, root: Path, built: bool) -> None:
        if built:
            write_json(root / "build.json", build_facts())
        found = model(root)
        assert module(found, "iwlwifi")["missing"] == ["intel/iwlwifi-2.ucode"]
        assert found["firmware"] == {
            "revision": "20250101",
            "files": [{"name": "iwlwifi-1.ucode", "package": "kernel", "size": 700}],
        }

    def test_a_damaged_package_is_said(self, root: Path) -> None:
        package = root / f"kernel/extra-linux-{V}-x86.tar.gz"
        package.write_bytes(package.read_bytes()[:-20])
        write_json(root / "build.json", build_facts())
        found = model(root)
        assert len(found["modules"]) == len(MODULES)
        assert found["gaps"][0].startswith("the extras package cannot be read: ")

    def test_boot_test(self, root: Path) -> None:
        write_json(root / "boot.json", BOOT)
        found = model(root)
        assert module(found, "tun")["boot"] == "no device: ENODEV"
        assert module(found, "xor")["boot"] == "loaded"
        assert "boot" not in module(found, "btrfs")
        assert found["boot"] == {key: value for key, value in BOOT.items() if key != "modules"}

    @pytest.mark.parametrize(
        ("path", "part"),
        [
            ("kernel/fs/btrfs/btrfs.ko", "fs"),
            ("kernel/drivers/net/wireless/iwlwifi.ko", "drivers/net"),
            ("kernel/sound/soundcore.ko", "sound"),
            ("updates/own.ko", "updates"),
            ("own.ko", "other"),
        ],
    )
    def test_subsystem(self, path: str, part: str) -> None:
        assert subsystem(path) == part


class TestConfig:
    def test_against_asks_and_defaults(self, root: Path) -> None:
        write_json(root / "build.json", build_facts())
        found = model(root)
        assert (found["config"]["form"], found["config"]["defaults"]) == ("minimal", "make alldefconfig")
        assert option(found, "BTRFS_FS") == {
            "name": "BTRFS_FS",
            "value": "m",
            "asked": "m",
            "where": "config/x86/kernel-config:3",
            "state": "asked",
            "default": "n",
        }
        assert option(found, "HZ")["state"] == "changed"
        assert "default" not in option(found, "HZ")
        assert option(found, "64BIT") == {"name": "64BIT", "value": "y", "state": "derived"}
        assert option(found, "DEBUG_INFO") == {"name": "DEBUG_INFO", "value": "n", "state": "derived", "default": "y"}

    def test_with_nothing_to_compare(self, root: Path) -> None:
        found = model(root)
        assert found["config"]["asked"] is False
        assert option(found, "DEBUG_INFO") == {"name": "DEBUG_INFO", "value": "n"}

    def test_an_ask_that_the_config_does_not_know(self, root: Path) -> None:
        facts = build_facts()
        facts["config"]["asked"]["CONFIG_GONE"] = {"value": "y", "where": "config/x86/kernel-config", "line": 9}
        write_json(root / "build.json", facts)
        assert option(model(root), "GONE")["state"] == "changed"

    def test_an_empty_string_is_no_value(self, root: Path) -> None:
        facts = build_facts()
        facts["config"]["defaults"]["values"]["CONFIG_CMDLINE"] = '""'
        write_json(root / "build.json", facts)
        assert "default" not in option(model(root), "CMDLINE")


class TestRelease:
    def test_of_a_manifest(self, root: Path) -> None:
        found = model(root)
        assert (found["release"], found["arch"], found["epoch"]) == (V, "x86", 1735689600)
        assert found["reproduce"] == "rosk build --arch x86"
        assert found["boot_files"] == [{"name": f"boot/vmlinuz-{V}", "size": 9000}]

    def test_without_anything_else(self, root: Path) -> None:
        """As os-kernel's scripts leave it: the packages."""
        (root / "manifest.json").unlink()
        (root / "kernel/config").unlink()
        found = model(root)
        assert {file["name"] for file in found["outputs"]} == {
            f"linux-{V}-x86.tar.gz",
            f"extra-linux-{V}-x86.tar.gz",
        }
        assert (found["reproduce"], found["config"]["options"], found["stages"]) == ("", [], [])
        assert (found["verify"], found["boot"]) == (None, None)

    @pytest.mark.parametrize(("name", "facts"), [("build", build_facts()), ("verify", VERIFY), ("boot", BOOT)])
    def test_of_another_release(self, root: Path, name: str, facts: dict[str, Any]) -> None:
        write_json(root / f"{name}.json", {**facts, "manifest": "0" * 64})
        found = model(root)
        assert found["gaps"] == [f"{name}.json is of another release and not shown; make it again"]
        assert (found["stages"], found["verify"], found["boot"]) == ([], None, None)

    @pytest.mark.parametrize(
        ("name", "text", "what"),
        [
            ("build.json", "{", "Invalid JSON"),
            ("build.json", '{"modules": {"a.ko": {"package": "both", "size": 1}}}', "modules.a.ko.package: "),
            ("verify.json", '{"checks": [{"name": "a", "status": "fine"}]}', "checks.0.status: "),
            ("boot.json", "[]", "Input should be"),
            ("kernel/config", "<html>", "HTML page"),
        ],
    )
    def test_what_is_not_what_it_should_be(self, root: Path, name: str, text: str, what: str) -> None:
        (root / name).write_text(text)
        with pytest.raises(InputError, match=what) as caught:
            model(root)
        assert caught.value.where == root / name
        assert caught.value.hint


@pytest.mark.parametrize(
    "manifest",
    [
        '{"outputs": 7}',
        '{"inputs": {"a": 1}}',
        '{"reproduce": {"a": 1}}',
        '{"settings": {"a": NaN}}',
        '{"images": [1]}',
    ],
)
def test_a_manifest_of_another_form(root: Path, manifest: str) -> None:
    (root / "manifest.json").write_text(manifest)
    with pytest.raises(InputError) as caught:
        model(root)
    assert caught.value.where == root / "manifest.json"
    assert caught.value.hint


def test_a_pipe_is_not_waited_for(root: Path) -> None:
    os.mkfifo(root / "verify.json")
    with pytest.raises(InputError, match="it is a pipe"):
        model(root)
