"""`rosk lists` on the real default kernel: what is foreseen of a config is what its compile makes."""

from __future__ import annotations

import json

import pytest

from builder.lists.learn import ListOptions, ask_engine
from builder.lists.run import run_check
from builder.lists.source import read_release
from builder.project import load_project
from tests.conftest import ROOT
from tests.contract import Release

pytestmark = pytest.mark.real

FORESEEN = 0.9
"""The part of the real dependencies that Kconfig has to tell of (it is 0.957 of Linux 6.12's)."""


def test_the_default_lists_are_good(release: Release, capsys: pytest.CaptureFixture[str]) -> None:
    run_check(ListOptions(root=ROOT, as_json=True))
    told = json.loads(capsys.readouterr().out)
    assert (told["errors"], told["warnings"], told["never_compiled"]) == (0, 0, [])


def test_the_modules_of_a_config_are_foreseen(release: Release) -> None:
    project = load_project(ROOT)
    foreseen = ask_engine(project, ListOptions(root=ROOT))
    released = read_release(project.dist, project.arch.name)
    assert released is not None and foreseen.v == released.v
    assert foreseen.built == set(released.modules.modules)
    depends = [(path, other) for path in foreseen.built for other in released.modules.depends(path)]
    told = [pair for pair in depends if pair[1] in foreseen.needs[pair[0]]]
    assert len(told) > FORESEEN * len(depends)
