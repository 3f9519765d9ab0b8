"""Reads a settings file, and says of each mistake where it is and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

from pydantic import (
    BaseModel,
    ValidationError,
)
from pydantic_core import ErrorDetails

from builder.errors import InputError
from builder.inputs.document import Document, Place, read_document
from builder.settings.contents import ListRule
from builder.settings.external import ExternalModule
from builder.settings.flavours import Flavour
from builder.settings.grammar import (
    Problem,
)
from builder.settings.model import Settings
from builder.settings.publish import GithubTarget, HttpTarget
from builder.settings.registry import Registry


def load_settings(path: Path) -> Settings:
    """Read and check a settings file.

    Raises:
        InputError: The file is missing or wrong. The error is the first mistake, with its line; all others are
            in its details, with theirs.
    """
    document = read_document(path)
    try:
        return Settings.model_validate(document.data)
    except ValidationError as error:
        problems = sorted(_problems(error, document))
    line, what, hint = problems[0]
    others = [f"line {line}: {what} ({hint})" for line, what, hint in problems[1:]]
    raise InputError(what, where=path, line=line, hint=hint, details=others)


def _problems(error: ValidationError, document: Document) -> Iterator[tuple[int, str, str]]:
    """Line, what and hint of each mistake."""
    for found in error.errors():
        place = found["loc"]
        problem = found.get("ctx", {}).get("error")
        if isinstance(problem, Problem):
            place = place if problem.key is None else (*place, problem.key)
            yield document.line(place), f"{_dotted(place)}: {problem}", problem.hint
        else:
            yield document.line(place), *_explain(found, place)


_TYPES = {
    "string_type": "text",
    "path_type": "a path",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "model_type": "a mapping (further keys, indented)",
}


def _explain(found: ErrorDetails, place: Place) -> tuple[str, str]:
    """What is wrong and what to do, for one of pydantic's own errors."""
    kind, value, dotted = found["type"], found["input"], _dotted(place)
    match kind:
        case "extra_forbidden":
            return f"unknown key {dotted}", _did_you_mean(place)
        case "missing":
            return f"{dotted} is missing", "add it; the table of settings in the README says what it means"
        case "literal_error":
            return f"{dotted}: {value!r} is none of the values it can have", f"write {found['ctx']['expected']}"
        case "string_too_short":
            return f"{dotted} is empty", "give it a value, or remove it for the default"
        case _ if kind in _TYPES:
            shown = "a list" if isinstance(value, list) else "a mapping" if isinstance(value, dict) else repr(value)
            return f"{dotted} must be {_TYPES[kind]}, not {shown}", "the table of settings in the README has each type"
    return f"{dotted}: {found['msg']}", "the table of settings in the README says what it means"


def _did_you_mean(place: Place) -> str:
    section, key = tuple(part for part in place[:-1] if isinstance(part, str)), str(place[-1])
    if section[:1] == ("flavours",):
        section = ("flavours", NAME, *section[2:])
    known = list(_keys())
    siblings = [keys[-1] for keys in known if keys[:-1] == section]
    for close in difflib.get_close_matches(key, siblings, n=1):
        return f"did you mean {_dotted((*section[:-1], place[-2], close) if NAME in section else (*section, close))}?"
    for keys in known:
        if keys[-1] == key:
            return f"did you mean {_dotted(keys)}?"
    return f"the keys here are {', '.join(siblings)}"


_ENTRIES: dict[str, type[BaseModel]] = {
    "registries": Registry,
    "rules": ListRule,
    "http": HttpTarget,
    "github": GithubTarget,
    "modules": ExternalModule,
}
"""What the entries of a list are, where they have keys of their own."""
NAME = "NAME"
"""What stands for the names that the user gives, in `flavours.NAME.suffix`."""


def _keys(section: type[BaseModel] = Settings, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key that a settings file can have, as the keys that lead to it."""
    for attribute, field in section.model_fields.items():
        name = field.alias or attribute
        yield (*prefix, name)
        if name == "flavours":
            yield from _keys(Flavour, (*prefix, name, NAME))
        inner = _ENTRIES.get(name, field.annotation)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _keys(inner, (*prefix, name))


def _dotted(place: Place) -> str:
    """`kernel.mirrors[0]`, counted from 1 for people: `kernel.mirrors[1]`."""
    words = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in place)
    return words.removeprefix(".") or "the file"
