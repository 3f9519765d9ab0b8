"""What is generated is current: the README's tables, the commands' pages; and the commands that pages name exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder import docs

PAGES = (docs.README, *sorted(docs.COMMANDS.parent.glob("*.md")))


def test_the_readme_is_current() -> None:
    text = docs.README.read_text()
    assert docs.updated(text) == text, "run: python -m builder.docs"


def test_the_pages_of_the_commands_are_current() -> None:
    assert docs.COMMANDS.read_text() == docs.command_pages(), "run: python -m builder.docs"


def helps() -> dict[str, str]:
    """The help of each command by its name: `build`, `cache prune`."""
    pages = re.split(r"^#+ `rosk ?([^`]*)`$", docs.command_pages(), flags=re.M)
    return dict(zip(pages[1::2], pages[2::2], strict=True))


def uses(text: str) -> Iterator[list[str]]:
    """The words of each `rosk …` in code of a page."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.M | re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S))
    for code in (*lines, *spans):
        if found := re.match(r"(?:[A-Z_]+=\S+ )*(?:\./)?rosk ([a-z].*)", code.strip()):
            yield found[1].partition("#")[0].partition("|")[0].split()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_and_options_of_a_page_exist(page: Path) -> None:
    """Every `rosk COMMAND --option` that a page shows is one that the command line has."""
    pages = helps()
    for words in uses(page.read_text()):
        name = next((" ".join(words[:count]) for count in (2, 1) if " ".join(words[:count]) in pages), None)
        assert name is not None, f"there is no rosk {' '.join(words)}"
        for option in (word.partition("=")[0] for word in words if word.startswith("-")):
            assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", pages[name]), f"rosk {name} has no {option}"


def test_the_readme_shows_the_commands_that_matter() -> None:
    assert {"build", "plan", "doctor", "cache", "repro"} <= {words[0] for words in uses(docs.README.read_text())}
