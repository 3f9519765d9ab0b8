"""Which file of a project a `rosk config` command edits."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from builder.config import editing
from builder.config.ask import ConfigOptions, find_file
from builder.errors import InputError
from tests.unit.projects import SETTINGS, write_project

CONFIG = "config/x86/kernel-config"
FLAVOURS = """\
config:
  fragments: [config/all.config]
flavours:
  plain: {}
  cloud:
    fragments: [config/small.config, config/cloud.config]
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {f"config/{name}.config": "CONFIG_VXLAN=m\n" for name in ("all", "small", "cloud")}
    return write_project(tmp_path, **{"config/rosk.yaml": SETTINGS + FLAVOURS}, **files)


@pytest.mark.parametrize(
    ("flavour", "fragment", "edited"),
    [
        (None, None, CONFIG),
        ("cloud", None, "config/cloud.config"),
        ("cloud", "small.config", "config/small.config"),
        ("cloud", "config/all.config", "config/all.config"),
        ("cloud", CONFIG, CONFIG),
        ("plain", CONFIG, CONFIG),
    ],
)
def test_a_flavour_that_is_named_has_its_own_fragments_edited(
    root: Path, flavour: str | None, fragment: str | None, edited: str
) -> None:
    project = ConfigOptions(root=root, arch="x86", flavour=flavour).project()
    assert str(project.origin(find_file(project, fragment, flavour=flavour))) == edited


def test_what_is_every_flavours_is_edited_for_one_only_when_it_is_named(root: Path) -> None:
    project = ConfigOptions(root=root, arch="x86", flavour="plain").project()
    with pytest.raises(InputError) as caught:
        find_file(project, None, flavour="plain")
    assert "flavours.plain.fragments" in str(caught.value.hint) and CONFIG in str(caught.value.hint)
    with pytest.raises(InputError, match="no fragment cloud"):
        find_file(project, "cloud.config", flavour="plain")


def test_a_file_of_the_menus_keeps_its_line_ends(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = root / CONFIG
    path.write_bytes(b"CONFIG_NET=y\r\nCONFIG_VXLAN=m\r\n")
    changed = {"changed": {"VXLAN": ["m", "y"]}, "text": "CONFIG_NET=y\r\nCONFIG_VXLAN=y\r\n"}
    monkeypatch.setattr(editing, "_in_container", lambda *_: changed)
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    options = ConfigOptions(root=root, arch="x86", flavour="plain")
    assert editing.run_edit(options, fragment=CONFIG)
    assert path.read_bytes() == b"CONFIG_NET=y\r\nCONFIG_VXLAN=y\r\n"
    assert not editing.run_edit(options, fragment=CONFIG)
