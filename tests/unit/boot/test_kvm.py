"""What the trial of KVM takes for a machine on which Linux runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from builder.boot import kvm
from builder.engine.containers import ContainerExit

Run = Callable[..., ContainerExit]


def says(*lines: str, code: int = 0, timed_out: bool = False) -> Run:
    def run(image: str, argv: Sequence[str], *, on_line: Callable[[str], None], **words: Any) -> ContainerExit:
        assert words["devices"] == [str(kvm.DEVICE)] and words["silence"] < words["timeout"]
        for line in lines:
            on_line(line)
        return ContainerExit(code=code, timed_out=timed_out)

    return run


def works(monkeypatch: pytest.MonkeyPatch, run: Run, device: Path) -> tuple[bool, list[str]]:
    monkeypatch.setattr(kvm, "run_container", run)
    monkeypatch.setattr(kvm, "DEVICE", device)
    notes: list[str] = []
    return kvm.kvm_works("rosk-boot:amd64", Path("vmlinuz"), note=notes.append), notes


def test_a_kernel_that_gets_to_its_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = says("[    0.0] Linux version 6.12", "[    1.2] Kernel panic - not syncing: VFS: Unable to mount root fs")
    assert works(monkeypatch, run, tmp_path) == (True, [])


@pytest.mark.parametrize(
    ("run", "last"),
    [
        pytest.param(says(timed_out=True), "nothing", id="hangs at once"),
        pytest.param(says("SeaBIOS (version 1.16)", timed_out=True), "SeaBIOS (version 1.16)", id="runs firmware only"),
        pytest.param(says("\x1bc\x1b[2JBooting\x1b[0m", timed_out=True), "cBooting)", id="says no escapes"),
        pytest.param(says("Linux version 6.12", "x2apic", timed_out=True), "x2apic", id="hangs on its way"),
        pytest.param(says("Could not access KVM kernel module", code=1), "Could not access KVM", id="refuses"),
    ],
)
def test_a_machine_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run: Run, last: str) -> None:
    worked, notes = works(monkeypatch, run, tmp_path)
    assert not worked and len(notes) == 1 and f"(the last word: {last}" in notes[0]


def test_a_machine_without_the_device_is_not_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def never(*words: object, **more: object) -> ContainerExit:
        raise AssertionError

    assert works(monkeypatch, never, tmp_path / "kvm") == (False, [])
