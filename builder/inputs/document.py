"""A YAML file as plain data, with the line of each value, so that a mistake can be shown where it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from builder.errors import InputError

Place = tuple[str | int, ...]
"""Where a value stands in a document: the keys and list positions (from 0) that lead to it."""

_INDENT_HINT = "look at the indentation (spaces only), the colons and the quotes from there upwards"


@dataclass(frozen=True, kw_only=True)
class Document:
    """What a YAML file says.

    Attributes:
        data: The mapping at its top. A scalar is text, or a bool (`true`, `false`); numbers stay text, so a version
            `6.10` keeps its zero. A key with no value is left out, as if it was not written.
        lines: The 1-based line of each value: of its key in a mapping, of the value itself in a list.
    """

    data: dict[str, object]
    lines: Mapping[Place, int]

    def line(self, place: Place) -> int:
        """The line of `place`, or of the nearest thing around it that is in the file."""
        while place not in self.lines:
            place = place[:-1]
        return self.lines[place]


def read_document(path: Path, *, least: str = "`org: NAME` and a `kernel:` section") -> Document:
    """Read a YAML file that has one mapping at its top.

    Args:
        least: What such a file says at least, for hints.

    Raises:
        InputError: It is missing, not UTF-8, not YAML, not a mapping, or has a key twice; with the line.
    """
    text = _read_text(path)
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            raise InputError("the file is empty", where=path, hint=f"write at least {least}")
        if not isinstance(root, yaml.MappingNode):
            raise _error(root, "the file is not a mapping", f"write `key: value` lines, at least {least}")
        lines: dict[Place, int] = {(): root.start_mark.line + 1}
        data = _mapping(root, (), lines)
    except InputError as error:
        error.where = path
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        begun = f" ({error.context} in line {error.context_mark.line + 1})" if error.context_mark else ""
        raise InputError(
            f"this is not YAML: {error.problem}{begun}",
            where=path,
            line=min(mark.line + 1, len(text.rstrip().splitlines())) if mark else None,
            hint=_INDENT_HINT,
        ) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"this is not text: it has the character U+{ord(text[error.position]):04X}"
        raise InputError(what, where=path, line=line, hint="is it the right file?") from error
    except RecursionError as error:
        raise InputError("brackets or lists are nested too deeply", where=path, hint=_INDENT_HINT) from error
    return Document(data=data, lines=lines)


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        hint = f"run rosk in a project's folder: the one that holds {path.parent.name}/{path.name}"
        raise InputError("there is no such file", where=path, hint=hint) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=path, hint="is it the right file?") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError("this is not UTF-8 text", where=path, line=line, hint="save the file as UTF-8") from error


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans and nulls, no numbers or dates, and no aliases (which can loop)."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.get_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not used here", mark)
        return super().compose_node(parent, index)


_TAGS = [f"tag:yaml.org,2002:{name}" for name in ("bool", "null", "str", "seq", "map")]
_BOOL, _NULL, _TEXT = _TAGS[:3]
_Loader.add_implicit_resolver(_BOOL, re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF"))
_Loader.add_implicit_resolver(_NULL, re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""])


def _mapping(node: yaml.MappingNode, place: Place, lines: dict[Place, int]) -> dict[str, object]:
    seen: dict[str, int] = {}
    data: dict[str, object] = {}
    for key_node, value_node in node.value:
        if key_node.tag != _TEXT:
            raise _error(key_node, "a key must be a plain word", "put a text key in quotes")
        key = key_node.value
        line = key_node.start_mark.line + 1
        if key in seen:
            dotted = ".".join(map(str, (*place, key)))
            what = f"the key {dotted} is written twice, first in line {seen[key]}"
            raise _error(key_node, what, "keep one of the two")
        seen[key] = lines[*place, key] = line
        if value_node.tag != _NULL:
            data[key] = _value(value_node, (*place, key), lines)
    return data


def _value(node: yaml.Node, place: Place, lines: dict[Place, int]) -> object:
    if node.tag not in _TAGS:
        raise _error(node, f"the tag {node.tag} is not used here", "remove it, and quote the value if it is text")
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, place, lines)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[*place, index] = item.start_mark.line + 1
        return [_value(item, (*place, index), lines) for index, item in enumerate(node.value)]
    if node.tag == _NULL:
        return None
    if node.tag == _BOOL:
        return node.value.lower() == "true"
    return str(node.value)


def _error(node: yaml.Node, what: str, hint: str) -> InputError:
    return InputError(what, line=node.start_mark.line + 1, hint=hint)
