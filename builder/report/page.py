"""The report's page: one HTML file that holds its data, its style and its program, and refers to nothing else.

The data is a block of JSON that no browser runs, and the program (`web/*.js`) puts it on the page as text only, so no
name in a release can become markup. A Content-Security-Policy allows the two inline blocks by their checksums and
nothing else, neither another script nor any load.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

_WEB = Path(__file__).resolve().parent / "web"
_PROGRAM = ("dom", "table", "timeline", "treemap", "modules", "config", "sections", "main")
"""The files of the program, in the order of their use."""

_PLACE = re.compile(r"\{\{(\w+)\}\}")
_ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&"}


def page(model: Mapping[str, Any]) -> str:
    """The HTML of a report.

    Args:
        model: As `builder.report.data.report_model` makes it.
    """
    style = (_WEB / "page.css").read_text()
    program = '"use strict";\n(() => {\n' + "".join((_WEB / f"{name}.js").read_text() for name in _PROGRAM) + "})();\n"
    values = {
        "title": escape(f"Linux {model['release']} ({model['arch']})"),
        "style": style,
        "style_sum": _checksum(style),
        "program": program,
        "program_sum": _checksum(program),
        "data": embedded(model),
    }
    return _PLACE.sub(lambda found: values[found[1]], (_WEB / "page.html").read_text())


def embedded(value: object) -> str:
    """JSON in ASCII that can stand in a `<script>` block: `<`, `>` and `&` are written as escapes.

    See the HTML standard, "Restrictions for contents of script elements".
    """
    return json.dumps(value, allow_nan=False, separators=(",", ":")).translate(_ESCAPES)


def _checksum(text: str) -> str:
    """An inline block as a Content-Security-Policy names it (CSP 3, section 6.7.2)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
