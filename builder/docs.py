"""The generated parts of the documentation: `python -m builder.docs` writes them again.

In README.md they stand between `<!-- NAME -->` and `<!-- /NAME -->`; `docs/commands.md` is the help of every command.
"""

from __future__ import annotations

import re
from pathlib import Path

from builder.errors import EXIT_CODES
from builder.schema import settings_table

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
COMMANDS = ROOT / "docs/commands.md"


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


def command_pages() -> str:
    """The help of every command as Markdown."""
    from typer import Context  # noqa: PLC0415 - only the documentation needs the whole command line
    from typer.cli import get_docs_for_click  # noqa: PLC0415
    from typer.main import get_command  # noqa: PLC0415

    from builder.cli import app  # noqa: PLC0415

    command = get_command(app)
    return get_docs_for_click(obj=command, ctx=Context(command, info_name="rosk"), name="rosk").strip() + "\n"


def main() -> None:
    README.write_text(updated(README.read_text()))
    COMMANDS.parent.mkdir(exist_ok=True)
    COMMANDS.write_text(command_pages())


if __name__ == "__main__":
    main()
