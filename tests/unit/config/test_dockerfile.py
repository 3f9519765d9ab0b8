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
        for line in re.findall(r"^COPY --from=rosk-programs (stages/.*)$", block, re.M)
        for name in line.split()[:-1]
    }


def test_each_stage_has_what_it_imports() -> None:
    assert copied("config-facts") == closure("kconfigfacts")
    assert copied("config-facts", "config-asked") == closure("configask") | closure("kconfigfacts")
    assert copied("config-facts", "config-menu") == closure("configedit") | closure("kconfigfacts")


def options(dockerfile: str, program: str) -> set[str]:
    """The options of a program's call that say what make is told."""
    call = dockerfile.partition(f"python3 -m builder.stages.{program} ")[2].partition("\n")[0]
    return set(re.findall(r"--(?:cross-compile|compiler|make-variables|signing|certificate|localversion)\b", call))


def test_make_is_told_what_a_build_tells_it() -> None:
    build = options((dockerfiles() / "kernel.Dockerfile").read_text().replace("\\\n", " "), "configure")
    assert {"--compiler", "--make-variables", "--signing"} <= build
    assert options(TEXT, "configask") == build
    assert options(TEXT, "kconfigfacts") == build - {"--signing", "--certificate", "--localversion"}
