"""What is generated is current: the README's tables, the settings' schema, and the commands it names exist."""

from __future__ import annotations

import re
from pathlib import Path

from typer.testing import CliRunner

from builder import docs
from builder.cli import app

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_readme_is_current() -> None:
    text = docs.README.read_text()
    assert docs.updated(text) == text, "run: python -m builder.docs"


def test_the_commands_and_options_of_the_readme_exist() -> None:
    """Every `rosk COMMAND --option` that the README shows is one that the command line has."""
    runner = CliRunner()
    shown = re.findall(r"\brosk ((?:[a-z]+)(?: +(?:--?[a-z-]+|[^\s`]+))*)", docs.README.read_text())
    commands = {
        command.name or command.callback.__name__: command for command in app.registered_commands if command.callback
    }
    used = [words.split() for words in shown if words.split()[0] in commands]
    assert {words[0] for words in used} >= {"build", "plan", "doctor"}
    for name, *words in used:
        text = runner.invoke(app, [name, "--help"], env={"COLUMNS": "300", "NO_COLOR": "1", "TERM": "dumb"}).output
        for option in (word for word in words if word.startswith("-")):
            assert option in text, f"rosk {name} has no {option}"
