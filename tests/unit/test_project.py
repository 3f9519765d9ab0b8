"""The project model: what the command line, the settings and the folders become, and which inputs are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import InputError
from builder.project import load_project
from tests.unit.projects import SETTINGS, write_project


def test_inputs_are_named_as_in_the_build_context(tmp_path: Path) -> None:
    project = load_project(write_project(tmp_path), arch="x86")
    assert list(project.inputs) == [
        "config/kernel-config",
        "lists/modules.list",
        "lists/modules-extra.list",
        "patches/0001-a.patch",
        "patches/0002-b.patch",
    ]
    assert project.origin("patches/0001-a.patch") == Path("patches/x86/0001-a.patch")
    assert project.origin("patches/none") is None


def test_names_of_a_release(tmp_path: Path) -> None:
    project = load_project(write_project(tmp_path), arch="x86")
    assert project.release("6.12.64") == "6.12.64-acme"
    assert project.image("os-kernel", "6.12.64-acme") == "acme/os-kernel:6.12.64-acme"


def test_the_command_line_names_a_kernel_org_version(tmp_path: Path) -> None:
    settings = SETTINGS.replace('source: kernel.org\n  version: "6.12.64"', 'source: debian\n  version: "6.12"')
    write_project(tmp_path, **{"config/rosk.yaml": settings})
    assert load_project(tmp_path).source.package == "linux-source-6.12"
    source = load_project(tmp_path, kernel="v6.6.119").source
    assert (source.kind, source.version, source.path) == ("archive", "6.6.119", None)


def test_a_pin_belongs_to_its_version(tmp_path: Path) -> None:
    pinned = SETTINGS.replace('"6.12.64"\n', f'"6.12.64"\n  sha256: {"a" * 64}\n')
    write_project(tmp_path, **{"config/rosk.yaml": pinned})
    assert load_project(tmp_path).source.sha256 == "a" * 64
    assert load_project(tmp_path, kernel="6.12.64").source.sha256 == "a" * 64
    assert load_project(tmp_path, kernel="6.12.65").source.sha256 is None


@pytest.mark.parametrize("version", ["6", "latest", "../../x", "6.12.64; rm -rf /", "6.12.0-rc1", ""])
def test_an_odd_version(tmp_path: Path, version: str) -> None:
    with pytest.raises(InputError, match=r"is not a release of kernel\.org"):
        load_project(write_project(tmp_path), kernel=version)


def test_registries_of_the_command_line_win(tmp_path: Path) -> None:
    write_project(tmp_path)
    assert [str(each) for each in load_project(tmp_path).registries] == ["localhost:5001", "localhost:5002/mirror"]
    given = load_project(tmp_path, registries=["registry.example/team"]).registries
    assert [str(each) for each in given] == ["registry.example/team"]


@pytest.mark.parametrize("text", ["https://registry.example", "user:secret@registry.example", "registry.example/", ""])
def test_no_registry(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="is not a registry"):
        load_project(write_project(tmp_path), registries=[text])


@pytest.mark.parametrize(
    ("file", "text", "what"),
    [
        ("lists/x86/modules.list", "kernel/a.ko\n/kernel/b.ko\n", "modules.list:2"),
        ("lists/x86/modules.list", "kernel/../b.ko\n", "modules.list:1"),
        ("lists/x86/modules.list", "kernel/a.ko\n\nkernel/a.ko\n", "modules.list:3"),
        ("lists/x86/modules.list", "kernel/fs/xfs/xfs.ko\n", "modules-extra.list:1"),
        ("config/x86/kernel-config", "<!DOCTYPE html>\n<html>\n", "kernel-config"),
        ("config/x86/kernel-config", "", "kernel-config"),
        ("patches/x86/0003-c.patch", "", "0003-c.patch"),
        ("patches/x86/0003-c.patch", "--- a/x\n+++ b/../../x\n@@ -1 +1 @@\n-x\n+y\n", "0003-c.patch:2"),
        ("patches/x86/0003-c.patch", "hello\n", "0003-c.patch"),
    ],
)
def test_a_wrong_input_names_its_file_and_line(tmp_path: Path, file: str, text: str, what: str) -> None:
    write_project(tmp_path, **{file: text})
    with pytest.raises(InputError) as error:
        load_project(tmp_path)
    assert what in str(error.value)
    assert error.value.hint


def test_a_project_without_a_list(tmp_path: Path) -> None:
    write_project(tmp_path)
    (tmp_path / "lists/x86/modules.list").unlink()
    with pytest.raises(InputError, match=r"modules\.list: there is no such file"):
        load_project(tmp_path)


def test_an_unknown_architecture(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown architecture 'mips'"):
        load_project(write_project(tmp_path), arch="mips")
