"""What is said of a shared compiler cache that does not answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.ccache import ccache_config, compile_notices
from builder.errors import InputError
from builder.project import load_project
from tests.unit.projects import SETTINGS, write_project

SILENT = "the shared compiler cache does not answer: compiled without it"
COMPILED = {"warnings": [{"kind": "compiler-cache", "what": SILENT}]}


@pytest.mark.parametrize(
    ("address", "remote", "why"),
    [
        ("redis://localhost:6379", True, True),
        ("redis://localhost:6379", False, False),
        ("http://127.0.0.1/cache", True, True),
        ("redis://cache.example:6379", True, False),
    ],
)
@pytest.mark.parametrize("secret", [True, False])
def test_why_a_server_does_not_answer(tmp_path: Path, address: str, remote: bool, why: bool, secret: bool) -> None:
    where = "secret_file: address" if secret else f"remote: {address}"
    settings = f"{SETTINGS}cache:\n  compiler:\n    {where}\n"
    files = {"config/rosk.yaml": settings, "address": f"{address}\n"}
    project = load_project(write_project(tmp_path, **files), arch="x86")
    (notice,) = compile_notices(project, COMPILED, remote=remote)
    assert notice.kind == "compiler-cache"
    assert notice.what.startswith(SILENT)
    assert ("does not reach this machine's localhost" in notice.what) == why
    assert compile_notices(project, {}, remote=remote) == []


def test_a_password_that_ccache_would_take_for_a_variable(tmp_path: Path) -> None:
    """It stops every compile, and says what the password is."""
    files = {
        "config/rosk.yaml": f"{SETTINGS}cache:\n  compiler:\n    secret_file: address\n",
        "address": "redis://default:hush$sh@cache.example:6379\n",
    }
    project = load_project(write_project(tmp_path, **files), arch="x86")
    with pytest.raises(InputError) as caught, ccache_config(project, tmp_path, lambda: pytest.fail("not asked for")):
        pytest.fail("taken")
    assert caught.value.where == tmp_path / "address"
    assert "hush" not in f"{caught.value} {caught.value.hint}"
