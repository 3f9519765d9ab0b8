"""The stages of external modules in the Dockerfile."""

from __future__ import annotations

import re
from pathlib import Path

from builder import graph, stagenames
from builder.context import dockerfiles
from builder.external.dockerfile import with_modules
from builder.external.model import ModuleSource
from builder.project import load_project
from tests.unit.projects import SETTINGS, write_project
from tests.unit.test_dockerfile import closure
from tests.unit.test_graph import RESOLVED

TEXT = (dockerfiles() / "kernel.Dockerfile").read_text()


def stages(text: str) -> dict[str, str]:
    """Stage → its text, in order."""
    blocks = re.split(r"^(?=FROM )", text, flags=re.M)[1:]
    return {re.findall(r"^FROM .*? AS (\S+)$", block, re.M)[0]: block for block in blocks}


def test_without_modules_it_is_the_file() -> None:
    assert with_modules(TEXT, []) == TEXT


def test_a_stage_for_each_module() -> None:
    found = stages(with_modules(TEXT, ["first", "second-one"]))
    before = stages(TEXT)
    assert set(found) - set(before) == {"module-first", "module-second-one"}
    assert [name for name in before if name != "external" and found[name] != before[name]] == []
    assert list(found).index("headers") < list(found).index("module-first") < list(found).index("external")
    assert "from=rosk-input-second-one,target=/input" in found["module-second-one"]
    assert "COPY --from=module-first /out/module/told /in/told" in found["module-second-one"]
    assert "COPY --from=module-" not in found["module-first"]
    copies = re.findall(r"COPY --from=(\S+) (\S+) /out/modules", found["external"])
    assert copies == [
        ("compile", "/out/modules"),
        ("module-first", "/out/module/modules"),
        ("module-second-one", "/out/module/modules"),
    ]


def test_no_name_of_a_module_is_that_of_another_stage() -> None:
    assert [name for name in stages(TEXT) if name.startswith("module-")] == []


def test_what_is_shown_of_them() -> None:
    sources = stagenames.takes_from(with_modules(TEXT, ["first", "second"]))
    assert stagenames.shown_stage("module-first") == stagenames.shown_stage("external-base") == "external"
    assert sources["external"] == {"toolchain", "headers", "tools", "compile"}
    assert "headers" not in sources["split"]


def test_the_plan_has_their_sources(tmp_path: Path) -> None:
    text = SETTINGS + "modules:\n  - {name: mod, source: folder, path: mod, make: {A: b}}\n"
    project = load_project(write_project(tmp_path, **{"config/rosk.yaml": text}), arch="x86")
    (wanted,) = project.settings.modules
    source = ModuleSource(
        wanted=wanted, folder=Path("/staged"), archive=False, origin="mod", revision="", sha256="0" * 64
    )
    context = graph.Context(folder=Path("/context"), dockerfile=Path("/x"), modules=(source,))
    plan = graph.build_plan(project, context, RESOLVED, output=Path("/out"))
    assert {target["contexts"]["rosk-input-mod"] for target in plan["target"].values()} == {"/staged"}
    assert source.recipe() == {"name": "mod", "archive": False, "subdir": "", "make": {"A": "b"}, "install": "extra"}
    assert source.as_json()["revision"] is None


def test_a_modules_stage_has_what_its_program_imports() -> None:
    found = stages(with_modules(TEXT, ["first"]).replace("\\\n", " "))
    text = found["external-base"] + found["module-first"]
    copied = [
        name
        for line in re.findall(r"^COPY --from=rosk-programs (stages/.*)$", text, re.M)
        for name in line.split()[:-1]
    ]
    assert {Path(name).stem for name in copied} == closure("external")
    assert '--compiler "${COMPILER}"' in found["module-first"] and "ARG COMPILER=gcc\n" in found["module-first"]
