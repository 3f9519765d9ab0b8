"""Unit tests start no process: planning, checking and reporting need none, and a test that does by accident fails.

What is tested against the real `patch`, `gcc`, `depmod`, `gpg` and so on says so with the marker `host_programs`; all
of `stages/` has it, since stages do little else.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, NoReturn

import pytest

STAGES = Path(__file__).parent / "stages"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(STAGES):
            item.add_marker("host_programs")


@pytest.fixture(autouse=True)
def no_processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("host_programs"):
        return

    def refuse(_self: object, args: Any, *_: object, **__: object) -> NoReturn:
        pytest.fail(f"a unit test started a process: {args}")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
