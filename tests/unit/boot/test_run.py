"""The report as people and programs see it, and the bake file of the machine."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console as Screen

from builder.boot.console import Console
from builder.boot.diagnose import Diagnosis
from builder.boot.image import boot_plan
from builder.boot.qemu import BOARDS
from builder.boot.run import Boot, as_json, print_boot
from builder.context import dockerfiles
from builder.releasefolder import ReleaseFolder
from tests.unit.boot.test_console import recorded

EXTRA = "kernel/fs/overlayfs/overlay.ko"


def booted(*more: str, diagnosis: Diagnosis | None = None) -> Boot:
    console = Console()
    for line in [*recorded("good"), *more]:
        console.feed(line)
    release = ReleaseFolder(root=Path("dist"), kernel_folder=Path("dist"), v="6.12.118-rosk", a="x86", packages={})
    return Boot(
        release=release,
        accel="tcg",
        seconds=8.4,
        report=console.report(),
        extras=frozenset([EXTRA]),
        diagnosis=diagnosis,
    )


def shown(boot: Boot) -> str:
    out = io.StringIO()
    print_boot(Screen(file=out, highlight=False, emoji=False, soft_wrap=True), boot)
    return out.getvalue()


def test_for_people() -> None:
    text = shown(booted())
    assert text.startswith("Linux 6.12.118-rosk for x86 under TCG (emulated), 8 s\n")
    assert "  ok      nat\n" in text
    assert "modules of the extras package: 1: 1 loaded\n" in text
    assert "  refused   kernel/crypto/jitterentropy_rng.ko: No such file or directory\n" in text
    assert text.endswith("The kernel boots and passes 32 checks\n")


def test_what_is_wrong_for_people() -> None:
    text = shown(booted("rosk: fail ext4: [bold]not[/]", "[ 9.0] Oops: 0000 [#1] SMP", diagnosis=Diagnosis(what="no")))
    assert "  failed  ext4              [bold]not[/]\n" in text
    assert text.endswith("oops: Oops: 0000 [#1] SMP\n")


def test_for_programs() -> None:
    found = json.loads(json.dumps(as_json(booted())))
    assert found["ok"] is True and found["accel"] == "tcg" and found["diagnosis"] is None
    assert {module["path"]: module["package"] for module in found["modules"]}[EXTRA] == "extras"
    assert found["modules"][1]["outcome"] == "no device"
    wrong = as_json(booted(diagnosis=Diagnosis(what="a", details=("b",), hint="c")))
    assert (wrong["ok"], wrong["diagnosis"]) == (False, {"what": "a", "details": ("b",), "hint": "c"})


def test_the_bake_file() -> None:
    plan = boot_plan(BOARDS["arm64"], "base:1", tag="rosk-boot:arm64", context=Path("/c"), guest=Path("/g.tar"))
    text = (dockerfiles() / "boot.Dockerfile").read_text()
    for name, target in plan["target"].items():
        assert f" AS {name}\n" in text and target["target"] == name
        for arg in target["args"]:
            assert f"ARG {arg}" in text
    assert plan["target"]["guest"]["output"] == ["type=tar,dest=/g.tar"]
    assert plan["target"]["qemu"]["args"]["QEMU_PACKAGE"] == "qemu-system-arm"
    assert plan["target"]["qemu"]["args"]["GUEST_ARCH"] == "arm64"
