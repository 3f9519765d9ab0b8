"""`rosk firmware` on the real default kernel and Debian's real firmware packages."""

from __future__ import annotations

import json

import pytest

from builder.firmware.run import run_check
from builder.firmware.source import ask_engine
from builder.lists.learn import ListOptions
from builder.lists.source import read_release
from builder.project import load_project
from tests.conftest import ROOT
from tests.contract import Release

pytestmark = pytest.mark.real


def test_the_default_firmware_is_asked_for_and_its_licences_are_known(
    release: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    run_check(ListOptions(root=ROOT, as_json=True))
    told = json.loads(capsys.readouterr().out)
    assert told["errors"] == 0 and told["complete"] is True
    assert not {each["kind"] for each in told["findings"]} & {"absent", "licence", "in-extra", "unasked"}
    licences = {each["path"]: each["licence"] for each in told["files"]}
    assert licences["rtl_nic/rtl8168h-2.fw"]["text"] == "binary-redist-Realtek-permissive"
    assert licences["rtl_nic/rtl8168h-2.fw"]["section"] == "firmware-realtek"


def test_the_source_code_tells_what_the_compiled_modules_ask_for(release: Release) -> None:
    project = load_project(ROOT)
    told = ask_engine(project, ListOptions(root=ROOT))
    released = read_release(project.dist, project.arch.name)
    assert released is not None
    said = {path: set(module.firmware) for path, module in released.modules.modules.items() if module.firmware}
    assert said and {path: set(told.asked.get(path, ())) for path in said} == said
