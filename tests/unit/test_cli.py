"""That Typer makes only the command that is called, and that nobody sees it."""

from __future__ import annotations

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from builder.cli import app, only


@pytest.fixture(autouse=True)
def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """All commands are there again after a test."""
    monkeypatch.setattr(app, "registered_commands", list(app.registered_commands))
    monkeypatch.setattr(app, "registered_groups", list(app.registered_groups))


def names() -> list[str]:
    group = get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    return list(group.commands)


def test_of_the_commands_the_called_one_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    runner, every = CliRunner(), names()
    assert {"build", "cache"} <= set(every)
    for name in every:
        before = runner.invoke(app, [name, "--help"])
        with monkeypatch.context() as one:
            one.setattr(app, "registered_commands", app.registered_commands)
            one.setattr(app, "registered_groups", app.registered_groups)
            only(name)
            assert names() == [name]
            after = runner.invoke(app, [name, "--help"])
        assert (after.exit_code, after.output) == (0, before.output)
    assert names() == every


@pytest.mark.parametrize("name", ["", "--help", "--version", "bild", "-C", "Build"])
def test_all_commands_stay_where_none_is_called(name: str) -> None:
    every = names()
    only(name)
    assert names() == every
