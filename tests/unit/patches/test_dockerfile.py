"""The stage that checks patches copies exactly what its program imports (see test_dockerfile)."""

from __future__ import annotations

import re
from pathlib import Path

from builder.context import dockerfiles
from tests.unit.test_dockerfile import closure


def test_the_stage_has_what_it_imports() -> None:
    text = (dockerfiles() / "patches.Dockerfile").read_text().replace("\\\n", " ")
    copied = {Path(name).stem for line in re.findall(r"^COPY (stages/.*)$", text, re.M) for name in line.split()[:-1]}
    (program,) = re.findall(r"python3 -m builder\.stages\.(\w+)", text)
    assert copied == closure(program)
