"""Which kernel of a project is meant, what is its own, and where its release goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from builder.choice import Choice, choose, every_choice
from builder.cli import app
from builder.cli.options import release_folder, reproducer
from builder.errors import InputError
from builder.lists.files import find_files
from builder.patches.run import PatchOptions
from builder.patches.series import read_series
from builder.project import load_all, load_project
from builder.settings import Settings, load_settings
from tests.unit.projects import SETTINGS, write_project

FLAVOURS = """\
architectures: [x86, arm64]
config:
  fragments: [common.config]
flavours:
  generic:
    suffix: acme
  cloud:
    fragments: [cloud.config]
    lists: lists/cloud
    patches: more
    architectures: [x86]
"""


MODULES: dict[str, Any] = {}
FIRMWARE: dict[str, Any] = {"names": ("lists/firmware.list", "lists/firmware-extra.list"), "needed": False}


def settings(tmp_path: Path, more: str = "") -> Settings:
    path = tmp_path / "rosk.yaml"
    path.write_text(SETTINGS + more)
    return load_settings(path)


@pytest.fixture(autouse=True)
def x86_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    arm64 = {
        "config/arm64/kernel-config": "CONFIG_64BIT=y\n",
        "lists/arm64/modules.list": "",
        "lists/arm64/modules-extra.list": "",
    }
    own = {
        "config/rosk.yaml": SETTINGS + FLAVOURS,
        "common.config": "CONFIG_A=y\n",
        "cloud.config": "CONFIG_B=y\n",
        "lists/cloud/x86/modules.list": "# own\n",
        "more/x86/0001-a.patch": "--- a/c\n+++ b/c\n@@ -1 +1 @@\n-x\n+z\n",
        "more/x86/0003-c.patch": "--- a/d\n+++ b/d\n@@ -1 +1 @@\n-x\n+z\n",
    }
    return write_project(tmp_path, **arm64, **own)


def names(choices: tuple[Choice, ...]) -> list[tuple[str | None, str]]:
    return [(choice.flavour, choice.arch.name) for choice in choices]


def test_without_flavours_and_architectures(tmp_path: Path) -> None:
    found = settings(tmp_path)
    assert names((choose(found),)) == names(every_choice(found)) == [(None, "x86")]
    assert choose(found).dist(tmp_path, found) == tmp_path / "dist"
    assert choose(found, arch="arm64").dist(tmp_path, found) == tmp_path / "dist/arm64"


@pytest.mark.parametrize(("machine", "default"), [("x86_64", "x86"), ("aarch64", "arm64"), ("riscv64", "x86")])
def test_the_default_is_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, default: str
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert choose(settings(tmp_path)).arch.name == default
    assert choose(settings(tmp_path, "architectures: [arm64]\n")).arch.name == "arm64"


def test_all(tmp_path: Path) -> None:
    found = settings(tmp_path, FLAVOURS)
    assert names(every_choice(found)) == [("generic", "x86"), ("generic", "arm64"), ("cloud", "x86")]
    assert names(every_choice(found, arch="arm64")) == [("generic", "arm64")]
    assert names(every_choice(found, flavour="cloud")) == [("cloud", "x86")]
    assert names(every_choice(settings(tmp_path, "architectures: [arm64, x86]\n"))) == [(None, "arm64"), (None, "x86")]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ({"flavour": "clod"}, "there is no flavour 'clod'"),
        ({"flavour": "cloud", "arch": "arm64"}, "the flavour cloud is not for arm64"),
        ({"arch": "mips"}, "unknown architecture 'mips'"),
    ],
)
def test_what_there_is_not(tmp_path: Path, words: dict[str, str], what: str) -> None:
    with pytest.raises(InputError, match=what):
        choose(settings(tmp_path, FLAVOURS), **words)


def test_none_of_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no kernel of the project is for arm64"):
        every_choice(settings(tmp_path, FLAVOURS), arch="arm64", flavour="cloud")
    with pytest.raises(InputError, match="the settings have no flavours"):
        try:
            every_choice(settings(tmp_path), flavour="cloud")
        except InputError as error:
            raise InputError(error.hint) from None


def test_what_a_flavour_has_of_its_own(root: Path) -> None:
    generic, _, cloud = load_all(root)
    assert (generic.localversion, cloud.localversion) == ("-acme", "-acme-cloud")
    assert (generic.name, cloud.name) == ("generic-x86", "cloud-x86")
    assert [name for name in generic.inputs if "fragments" in name] == ["config/fragments/00-common.config"]
    assert [name for name in cloud.inputs if "fragments" in name] == [
        "config/fragments/00-common.config",
        "config/fragments/01-cloud.config",
    ]
    assert cloud.inputs["lists/modules.list"] == root / "lists/cloud/x86/modules.list"
    assert cloud.inputs["lists/modules-extra.list"] == root / "lists/x86/modules-extra.list"
    patches = {name: path.parent.parent.name for name, path in cloud.inputs.items() if name.startswith("patches/")}
    assert list(patches.items()) == [
        ("patches/0001-a.patch", "more"),
        ("patches/0002-b.patch", "patches"),
        ("patches/0003-c.patch", "more"),
    ]
    assert len([name for name in generic.inputs if name.startswith("patches/")]) == 2


def test_releases_of_two_are_never_in_one_place(root: Path) -> None:
    projects = load_all(root)
    assert [str(project.dist.relative_to(root)) for project in projects] == [
        "dist",
        "dist/generic-arm64",
        "dist/cloud-x86",
    ]
    assert len({(project.image("os-kernel", project.release("6.12.64"))) for project in projects}) == 3


def test_what_one_has_does_not_concern_another(root: Path) -> None:
    """A flavour's settings are no input of the others: they are not built again for them."""
    generic, arm64, cloud = load_all(root)
    assert list(generic.settings.flavours) == list(arm64.settings.flavours) == ["generic"]
    assert list(cloud.settings.flavours) == ["cloud"]


def test_they_have_one_toolchain(root: Path) -> None:
    assert {tuple(arch.name for arch in project.foreign) for project in load_all(root)} == {("arm64",)}
    assert load_project(root, arch="x86").foreign == load_project(root, arch="arm64").foreign


def test_a_folder_of_lists_that_is_not_there(root: Path) -> None:
    for path in (root / "lists/cloud/x86").iterdir():
        path.unlink()
    (root / "lists/cloud/x86").rmdir()
    with pytest.raises(InputError) as caught:
        load_project(root, flavour="cloud")
    assert caught.value.where == root / "lists/cloud/x86"


def test_the_command_that_builds_it_again(root: Path) -> None:
    cloud = load_project(root, flavour="cloud")
    words = ("rosk", "build", "--arch", "x86", "--flavour", "cloud", "--kernel", "6.12.64")
    assert reproducer(cloud, strict=False) == words


def test_the_release_that_a_command_looks_at(root: Path, tmp_path: Path) -> None:
    assert release_folder(None, root, arch=None, flavour=None) == root / "dist"
    assert release_folder(None, root, arch=None, flavour="cloud") == root / "dist/cloud-x86"
    assert release_folder(None, root, arch="arm64", flavour=None) == root / "dist/generic-arm64"
    assert release_folder(tmp_path, root, arch=None, flavour=None) == tmp_path
    with pytest.raises(InputError, match="says which release is meant"):
        release_folder(tmp_path, root, arch="x86", flavour=None)
    nowhere = tmp_path / "nowhere"
    assert release_folder(None, nowhere, arch=None, flavour=None) == nowhere / "dist"


def test_a_flavours_own_patches_are_there(root: Path) -> None:
    (root / "more").rename(root / "mor")
    with pytest.raises(InputError, match="there is no such folder") as caught:
        load_project(root, arch="x86", flavour="cloud")
    assert caught.value.where == root / "more/x86" and "cloud" in caught.value.hint
    (root / "more/arm64").mkdir(parents=True)
    assert load_project(root, arch="x86", flavour="cloud").flavour == "cloud"


def test_the_patches_that_commands_look_at(root: Path) -> None:
    cloud = PatchOptions(root=root, flavour="cloud")
    assert [patch.name for patch in read_series(*cloud.folders)] == ["0001-a.patch", "0002-b.patch", "0003-c.patch"]
    assert read_series(*cloud.folders)[0].path == root / "more/x86/0001-a.patch"
    assert cloud.folder == root / "more/x86"
    assert PatchOptions(root=root).folder == root / "patches/x86"
    assert PatchOptions(root=root, arch="arm64").folders == [root / "patches/arm64"]
    with pytest.raises(InputError, match="the flavour generic has no patches of its own"):
        _ = PatchOptions(root=root, flavour="generic").folder


def test_the_lists_that_commands_look_at(root: Path) -> None:
    own = {name: path.parent.parent.name for name, path in find_files(root, flavour="cloud").inputs.items()}
    assert own == {"lists/modules.list": "cloud", "lists/modules-extra.list": "lists"}
    assert find_files(root, "arm64").inputs["lists/modules.list"] == root / "lists/arm64/modules.list"
    firmware = find_files(root, flavour="cloud", names=("lists/firmware.list",), needed=False)
    assert firmware.inputs == {"lists/firmware.list": root / "lists/x86/firmware.list"}
    (root / "lists/cloud/x86/firmware.list").write_text("")
    firmware = find_files(root, flavour="cloud", names=("lists/firmware.list",), needed=False)
    assert firmware.inputs == {"lists/firmware.list": root / "lists/cloud/x86/firmware.list"}


def test_every_command_that_takes_an_architecture_takes_a_flavour() -> None:
    def commands(command: Any, *path: str) -> Iterator[tuple[str, set[str]]]:
        if below := getattr(command, "commands", None):
            for name, each in below.items():
                yield from commands(each, *path, name)
        else:
            yield " ".join(path), {option for each in command.params for option in each.opts}

    found = dict(commands(get_command(app)))
    assert {"build", "release", "publish", "sign", "report", "firmware check", "config set"} <= found.keys()
    assert [name for name, options in found.items() if ("--arch" in options) != ("--flavour" in options)] == []
    assert "--flavour" in found["publish"] & found["sign"] & found["report"] & found["install-into"] & found["services"]


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ("flavours:\n  Big: {}\n", "'Big' is not a name for a flavour"),
        ("flavours:\n  a: {}\n  b: {suffix: acme-a}\n", "a and b have the same suffix"),
        (
            "architectures: [x86]\nflavours:\n  a: {architectures: [arm64]}\n",
            "a is for arm64, which the project is not for",
        ),
        ("architectures: [x86, x86]\n", "x86 is there twice"),
        ("architectures: [mips]\n", "'mips' is none of the values"),
        ("flavours:\n  a: {fragment: [b]}\n", "unknown key flavours.a.fragment"),
        (f"suffix: {'s' * 35}\nflavours:\n  cloudy: {{}}\n", "which is too long"),
    ],
)
def test_wrong_settings(tmp_path: Path, more: str, what: str) -> None:
    with pytest.raises(InputError) as caught:
        settings(tmp_path, more)
    assert what in caught.value.what
    assert caught.value.line is not None and caught.value.line > SETTINGS.count("\n")


def test_a_misspelt_key_of_a_flavour(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        settings(tmp_path, "flavours:\n  cloud: {fragmets: [b]}\n")
    assert caught.value.hint == "did you mean flavours.cloud.fragments?"


def test_a_link_to_nothing_is_no_list_that_was_left_out(root: Path) -> None:
    """Else `lists fix --flavour` would write the list of all flavours, and `firmware fix` what the link names."""
    links = {"lists/cloud/x86/modules-extra.list": MODULES, "lists/x86/firmware.list": FIRMWARE}
    for name, names in links.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).unlink(missing_ok=True)
        (root / name).symlink_to("/nowhere/at/all.list")
        with pytest.raises(InputError, match="it is a link to /nowhere/at/all") as caught:
            find_files(root, "x86", "cloud", **names)
        assert caught.value.where == root / name
        with pytest.raises(InputError, match="it is a link to /nowhere/at/all"):
            load_project(root, flavour="cloud")
        (root / name).unlink()
