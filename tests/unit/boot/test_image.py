"""What is done again when the image that qemu runs in cannot be made at first."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from builder.boot.image import make_image
from builder.boot.qemu import BOARDS
from builder.engine.base import BaseImage
from builder.engine.docker import SolveError

LATE = "failed to solve: DeadlineExceeded: context deadline exceeded"


class Engine:
    """Stands in for the engine: fails as it is told, then writes the guest's programs."""

    def __init__(self, *fails: str) -> None:
        self.left = list(fails)
        self.solves = 0

    def bake(self, plan: Mapping[str, Any], *, epoch: int, on_output: Callable[[str], None]) -> dict[str, Any]:
        self.solves += 1
        if self.left:
            raise SolveError(self.left.pop(0))
        (output,) = plan["target"].get("guest", {"output": [""]})["output"]
        if output.startswith("type=tar"):
            tarfile.open(output.partition("dest=")[2], "w").close()
        return {}


def make(engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    monkeypatch.setattr("builder.boot.image.default_cache", lambda: folder)
    base = BaseImage(ref="b", id="sha256:1", origin="local")
    return make_image(engine, BOARDS["x86"], base, folder)[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(("what", "apart"), [("failed to solve: not found", 2), (LATE, 0)])
def test_what_fails_by_no_fault_of_its_own_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, apart: int
) -> None:
    """Where a step that both targets share was lost, each is made alone before."""
    engine = Engine(what)
    assert make(engine, tmp_path, monkeypatch) == "rosk-boot:amd64"
    assert engine.solves == 2 + apart


@pytest.mark.parametrize(("fails", "solves"), [([LATE] * 5, 5), (["failed to solve: denied", LATE], 1)])
def test_what_fails_for_good_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: list[str], solves: int
) -> None:
    engine = Engine(*fails)
    with pytest.raises(SolveError) as caught:
        make(engine, tmp_path, monkeypatch)
    assert engine.solves == solves and caught.value.hint
