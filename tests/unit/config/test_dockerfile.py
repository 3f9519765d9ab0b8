"""config.Dockerfile against the stage programs: each stage has exactly what its program imports."""

from __future__ import annotations

import re
from pathlib import Path

from builder.context import dockerfiles
from tests.unit.test_dockerfile import closure

TEXT = (dockerfiles() / "config.Dockerfile").read_text().replace("\\\n", " ")


def copied(*stages: str) -> set[str]:
    blocks = re.split(r"^(?=FROM )", TEXT, flags=re.M)
    return {
        Path(name).stem
        for block in blocks
        if re.match(rf"FROM \S+ AS ({'|'.join(stages)})\n", block)
        for line in re.findall(r"^COPY (stages/.*)$", block, re.M)
        for name in line.split()[:-1]
    }


def test_each_stage_has_what_it_imports() -> None:
    assert copied("config-facts") == closure("kconfigfacts")
    assert copied("config-facts", "config-asked") == closure("configask") | closure("kconfigfacts")
    assert copied("config-facts", "config-menu") == closure("configedit") | closure("kconfigfacts")
