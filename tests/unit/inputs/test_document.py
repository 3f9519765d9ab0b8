from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import InputError
from builder.inputs.document import Document, read_document


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.yaml"


def read(path: Path, text: str) -> Document:
    path.write_text(text)
    return read_document(path)


def test_values_and_their_lines(path: Path) -> None:
    document = read(path, "# comment\na: text\nb:\n  c: true\n  d:\n  - 1\n  -\n    e: 6.10\nf: ~\n")
    assert document.data == {"a": "text", "b": {"c": True, "d": ["1", {"e": "6.10"}]}}
    assert document.line(("a",)) == 2
    assert document.line(("b", "c")) == 4
    assert document.line(("b", "d", 0)) == 6
    assert document.line(("b", "d", 1, "e")) == 8
    assert document.line(("b", "nothing")) == 3
    assert document.line(("nothing",)) == 2


def test_only_true_and_false_are_booleans(path: Path) -> None:
    assert read(path, "a: no\nb: on\nc: False\n").data == {"a": "no", "b": "on", "c": False}


def test_a_byte_order_mark_is_no_part_of_the_text(path: Path) -> None:
    assert read(path, "\ufeffa: b\n").data == {"a": "b"}


@pytest.mark.parametrize(
    ("content", "line", "what"),
    [
        (b"", None, "the file is empty"),
        (b"# only a comment\n", None, "the file is empty"),
        (b"- a\n- b\n", 1, "the file is not a mapping"),
        (b"\nword\n", 2, "the file is not a mapping"),
        (b"a: 1\nb: 2\na: 3\n", 3, "the key a is written twice, first in line 1"),
        (b"a:\n  b: 1\n  b: 2\n", 3, "the key a.b is written twice, first in line 2"),
        (b"a: 1\n\tb: 2\n", 2, "this is not YAML: "),
        (b"a: [1,\nb: 2\n", 2, "this is not YAML: "),
        (b"a: b: c\n", 1, "this is not YAML: mapping values are not allowed here"),
        (b'a: 1\nb: "open\n\n', 2, "this is not YAML: found unexpected end of stream"),
        (b"a: 1\n---\nb: 1\n", 2, "this is not YAML: but found another document"),
        (b"a: &x [1]\nb: *x\n", 2, "this is not YAML: aliases (*name) are not used here"),
        (b"a: &x [*x]\n", 1, "this is not YAML: aliases (*name) are not used here"),
        (
            b"a: 1\nb: !!python/object:os.system {}\n",
            2,
            "the tag tag:yaml.org,2002:python/object:os.system is not used",
        ),
        (b"a: 1\nb: !!set {x}\n", 2, "the tag tag:yaml.org,2002:set is not used here"),
        (b"a: 1\nb: !secret x\n", 2, "the tag !secret is not used here"),
        (b"a: 1\ntrue: x\n", 2, "a key must be a plain word"),
        (b"? [a]\n: x\n", 1, "a key must be a plain word"),
        (b"a: 1\nb: \x00\n", 2, "this is not text: it has the character U+0000"),
        (b"a: 1\nb: \xff\n", 2, "this is not UTF-8 text"),
        (b"a: " + b"[" * 2000, None, "brackets or lists are nested too deeply"),
    ],
)
def test_a_file_that_is_no_such_document(path: Path, content: bytes, line: int | None, what: str) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_document(path)
    assert caught.value.what.startswith(what)
    assert caught.value.where == path
    assert caught.value.hint
    if line is not None:
        assert caught.value.line == line
