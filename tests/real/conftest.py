"""The real default kernel, built once for the whole run by the README's own command."""

from __future__ import annotations

import pytest

from tests.conftest import ROOT, Rosk, run_rosk
from tests.contract import Release, find_release


@pytest.fixture(scope="session")
def first_build(engine: None) -> Rosk:
    """`./rosk build` in the checkout."""
    done = run_rosk("build")
    assert done.code == 0, done.out[-4000:] + done.err[-4000:]
    return done


@pytest.fixture(scope="session")
def release(first_build: Rosk) -> Release:
    return find_release(ROOT / "dist")
