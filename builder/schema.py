"""What is generated from the settings' models: the JSON schema for editors, and the README's table.

`python -m builder.schema` writes `config/rosk.schema.json` anew; a unit test fails when it is not current.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from builder.settings import Settings

SCHEMA_FILE = Path("config/rosk.schema.json")


def settings_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of `config/rosk.yaml`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Settings.model_json_schema()}


def schema_text() -> str:
    """`settings_schema` as the bytes of the schema file."""
    return json.dumps(settings_schema(), indent=2, ensure_ascii=False) + "\n"


def settings_table() -> str:
    """A Markdown table of every key: key, type, default, meaning; ends in a newline."""
    schema = settings_schema()
    rows = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    rows += ["| " + " | ".join(row) + " |" for row in _rows(schema, schema["$defs"], "")]
    return "\n".join(rows) + "\n"


def _rows(section: dict[str, Any], models: dict[str, Any], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for name, key in section["properties"].items():
        if "$ref" in key:
            yield from _rows(_model(key, models), models, f"{prefix}{name}.")
        else:
            default = "required" if name in section.get("required", ()) else _default(key.get("default"))
            yield f"`{prefix}{name}`", _type(key, models), default, key["description"].replace("|", "\\|")
            if "$ref" in key.get("additionalProperties", {}):
                yield from _rows(_model(key["additionalProperties"], models), models, f"{prefix}{name}.NAME.")


def _default(value: object) -> str:
    if value in (None, "", [], {}):
        return "none"
    if isinstance(value, list):
        return "<br>".join(f"`{item}`" for item in value)
    return f"`{json.dumps(value) if isinstance(value, bool) else value}`"


def _type(key: dict[str, Any], models: dict[str, Any]) -> str:
    if "$ref" in key:
        return _type(_model(key, models), models)
    if "enum" in key:
        return " \\| ".join(f"`{value}`" for value in key["enum"])
    if "anyOf" in key:
        return " or ".join(_type(part, models) for part in key["anyOf"] if part.get("type") != "null")
    if key["type"] == "array":
        return f"list of {_type(key['items'], models)}"
    words = {"boolean": "`true` \\| `false`", "string": "path" if key.get("format") == "path" else "text"}
    return words.get(key["type"], "mapping")


def _model(key: dict[str, Any], models: dict[str, Any]) -> dict[str, Any]:
    model: dict[str, Any] = models[key["$ref"].rsplit("/", 1)[-1]]
    return model


def main(argv: list[str]) -> None:
    """Write the schema to the file named in `argv`, or to `config/rosk.schema.json` of the current folder."""
    (Path(argv[0]) if argv else SCHEMA_FILE).write_text(schema_text(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
