"""`rosk firmware` through a real BuildKit, before anything is compiled and after."""

from __future__ import annotations

import json
from typing import Any

import pytest

from builder.firmware.run import run_check, run_fix
from builder.lists.learn import ListOptions
from tests.graph.conftest import FakeProject

pytestmark = pytest.mark.engine

NIC = "kernel/drivers/net/fakenic.ko"


def test_firmware_is_judged_before_any_compile_and_after(fake: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    options = ListOptions(root=fake.root, arch="x86", as_json=True)

    def check() -> dict[str, Any]:
        capsys.readouterr()
        run_check(options)
        return dict(json.loads(capsys.readouterr().out))

    fake.write("firmware/fakenic/nic-2.bin", "more firmware\n")
    fake.edit("firmware/WHENCE", lambda text: text + "File: fakenic/nic-2.bin\nLink: nic.bin -> fakenic/nic-2.bin\n")
    told = check()
    assert (told["release"], told["complete"]) == (fake.release, True)
    assert told["asked"] == {f"fakenic/nic-{number}.bin": [NIC] for number in (1, 2)}
    assert [(each["kind"], each["path"]) for each in told["findings"]] == [("missing", "fakenic/nic-2.bin")]
    assert "firmware of 1 module never compiled: from their source code" in told["sources"]
    (file,) = told["files"]
    assert file["licence"] == {
        "text": "Redistributable.",
        "section": "fakenic",
        "files": [],
        "sources": [],
        "problem": "",
    }
    assert not (fake.root / "dist").exists()

    run_fix(options)
    assert (fake.root / "lists/x86/firmware.list").read_text() == "fakenic/nic-1.bin\nfakenic/nic-2.bin\n"
    assert check()["findings"] == []
    assert "firmware-missing" not in {notice.kind for notice in fake.build().notices}
    told = check()
    assert told["findings"] == [] and "never compiled" not in str(told["sources"])
    assert {each["path"] for each in told["files"]} == {"fakenic/nic-1.bin", "fakenic/nic-2.bin", "nic.bin"}
