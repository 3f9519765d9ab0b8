"""The generated parts of the documentation: `python -m builder.docs` writes them again.

They stand in README.md between `<!-- NAME -->` and `<!-- /NAME -->`.
"""

from __future__ import annotations

import re
from pathlib import Path

from builder.errors import EXIT_CODES
from builder.schema import settings_table

README = Path(__file__).resolve().parent.parent / "README.md"


def exit_code_table() -> str:
    """The exit codes as a Markdown table."""
    rows = "".join(f"| {code} | {meaning} |\n" for code, meaning in sorted(EXIT_CODES.items()))
    return f"| code | meaning |\n| --- | --- |\n{rows}"


def updated(text: str) -> str:
    """A README with its generated parts made anew.

    Args:
        text: The README as it is.
    """
    for name, content in (("settings", settings_table()), ("exit codes", exit_code_table())):
        block = f"<!-- {name} -->\n{content.rstrip()}\n<!-- /{name} -->"
        text, found = re.subn(rf"<!-- {name} -->.*?<!-- /{name} -->", lambda _: block, text, flags=re.S)  # noqa: B023
        assert found == 1, name
    return text


if __name__ == "__main__":
    README.write_text(updated(README.read_text()))
