"""The page as a file: nothing in the data can end its block, and it refers to nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from builder.errors import InputError
from builder.report.page import embedded, page
from builder.report.run import write_report
from tests.unit.report.releases import HOSTILE, V, build_facts, write_json, write_release


class Parsed(HTMLParser):
    """The elements of a page, and the text of each."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append("")
        self.open = True

    def handle_endtag(self, tag: str) -> None:
        self.open = False

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts[-1] += data

    def text(self, tag: str, **attributes: str) -> str:
        return next(
            text
            for (name, found), text in zip(self.elements, self.texts, strict=True)
            if name == tag and attributes.items() <= found.items()
        )


@pytest.mark.parametrize("value", [HOSTILE, {HOSTILE: [HOSTILE]}, "\u2028&amp;\ud800", "<!--<script>"])
def test_embedded_data_is_the_same_and_has_no_markup(value: Any) -> None:
    text = embedded(value)
    assert not re.search("[<>&]", text)
    assert json.loads(text) == value


def test_the_data_comes_back(tmp_path: Path) -> None:
    root = write_release(tmp_path / "dist")
    modules = {f"kernel/fs/{HOSTILE}.ko": {"package": "main", "size": 1, "firmware": [HOSTILE], "option": HOSTILE}}
    notices = [{"kind": HOSTILE, "what": HOSTILE, "where": HOSTILE}]
    write_json(root / "build.json", build_facts(modules, notices=notices))
    parsed = Parsed(write_report(root).read_text())
    found = json.loads(parsed.text("script", id="data"))
    assert found["modules"][0]["path"] == f"kernel/fs/{HOSTILE}.ko"
    assert found["notices"] == notices
    assert [tag for tag, _ in parsed.elements if tag in ("script", "img", "style")] == ["style", "script", "script"]


def test_a_hostile_title() -> None:
    parsed = Parsed(page({"release": f"{HOSTILE}{{{{data}}}}", "arch": "x86"}))
    assert parsed.text("title") == f"Linux {HOSTILE}{{{{data}}}} (x86)"
    assert "img" not in [tag for tag, _ in parsed.elements]


def test_it_refers_to_nothing(tmp_path: Path) -> None:
    parsed = Parsed(write_report(write_release(tmp_path / "dist")).read_text())
    links = [value for _, found in parsed.elements for key, value in found.items() if key in ("src", "href") and value]
    assert all(link.startswith(("#", "data:")) for link in links)
    assert not re.search(r"url\(|@import", parsed.text("style"))


def test_the_policy_names_the_blocks(tmp_path: Path) -> None:
    parsed = Parsed(write_report(write_release(tmp_path / "dist")).read_text())
    policy = next(found["content"] for tag, found in parsed.elements if tag == "meta" and "http-equiv" in found)
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    program = next(
        text
        for (tag, found), text in zip(parsed.elements, parsed.texts, strict=True)
        if tag == "script" and "type" not in found
    )
    for directive, text in (("style-src", parsed.text("style")), ("script-src", program)):
        checksum = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{checksum}'" in policy


class TestWriting:
    def test_it_takes_the_place_of_the_one_before(self, tmp_path: Path) -> None:
        root = write_release(tmp_path / "dist")
        (root / "report.html").write_text("old")
        before = {path.name for path in root.iterdir()}
        assert write_report(root) == root / "report.html"
        assert V in (root / "report.html").read_text()
        assert {path.name for path in root.iterdir()} == before

    def test_the_same_twice(self, tmp_path: Path) -> None:
        root = write_release(tmp_path / "dist")
        write_json(root / "build.json", build_facts())
        assert write_report(root).read_bytes() == write_report(root).read_bytes()

    def test_no_release(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="there is no kernel package"):
            write_report(tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_what_it_cannot_write(self, tmp_path: Path) -> None:
        root = write_release(tmp_path / "dist")
        (root / "report.html").mkdir()
        (root / "report.html/full").touch()
        with pytest.raises(InputError, match="cannot use the release folder"):
            write_report(root)
