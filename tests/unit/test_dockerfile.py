"""The Dockerfile against the stage programs: each stage copies exactly what its program imports.

Less would not run; more would make an edit rerun stages that do not depend on it.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from builder.context import dockerfiles, without_secret
from builder.external.dockerfile import with_modules

STAGES = Path(__file__).parent.parent.parent / "builder" / "stages"
KERNEL = (dockerfiles() / "kernel.Dockerfile").read_text()
TEXT = KERNEL.replace("\\\n", " ")
WITH_A_MODULE = with_modules(KERNEL, ["one"]).replace("\\\n", " ")

HELPERS = ("packer", "image-tools", "firmware-base", "external-base", "source-package")


def closure(module: str) -> set[str]:
    """The module and all modules of `builder.stages` that it imports, directly or not."""
    found: set[str] = set()
    todo = {module}
    while todo:
        name = todo.pop()
        found.add(name)
        for node in ast.walk(ast.parse((STAGES / f"{name}.py").read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("builder.stages."):
                todo.add((node.module or "").removeprefix("builder.stages."))
            elif isinstance(node, ast.ImportFrom) and node.module == "builder.stages":
                todo.update(name.name for name in node.names)
        todo -= found
    return found


def stages() -> dict[str, tuple[set[str], set[str]]]:
    """Stage of the Dockerfile → programs it runs, program files it has (its own and those of what it starts from)."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    for block in re.split(r"^(?=FROM )", WITH_A_MODULE, flags=re.M)[1:]:
        base, stage = re.findall(r"^FROM (?:--\S+ )?(\S+) AS (\S+)$", block, re.M)[0]
        copied = {
            Path(name).stem
            for line in re.findall(r"^COPY --from=rosk-programs (stages/.*)$", block, re.M)
            for name in line.split()[:-1]
        }
        found[stage] = (
            set(re.findall(r"python3 -m builder\.stages\.(\w+)", block)),
            copied | (found[base][1] if base in HELPERS else set()),
        )
    return found


@pytest.mark.parametrize("stage", [name for name, (programs, _) in stages().items() if programs])
def test_a_stage_has_what_it_imports(stage: str) -> None:
    programs, copied = stages()[stage]
    needed = set().union(*map(closure, programs))
    assert needed <= copied
    assert copied == needed


def test_little_is_copied_from_the_context_itself() -> None:
    """See the comment at `rosk-inputs`: the time that BuildKit needs grows with the square of it."""
    texts = [(dockerfiles() / f"{name}.Dockerfile").read_text() for name in ("kernel", "config", "firmware", "lists")]
    copied = [line for text in texts for line in re.findall(r"^COPY (?!--from=).*$", text, re.M)]
    assert copied == ["COPY . /"]


def test_a_build_without_a_server_has_no_secret_in_its_compile() -> None:
    """With one, BuildKit reads each file of the step's root (`without_secret`)."""
    text = with_modules(KERNEL, ["one"])
    assert text.count("type=secret,id=ccache") == 2
    plain = without_secret(text, "ccache")
    assert re.findall(r"type=secret,id=([\w-]+)", plain) == ["signing-key", "signing-pin"]
    assert len(plain.splitlines()) == len(text.splitlines()) - 2


def test_steps_that_need_no_network_have_none() -> None:
    """What apt fetches, what may reach a compiler cache on a server, and what runs the user's hooks has it."""
    network = re.findall(r"^RUN (?!--network=none ).*?(?:builder\.stages\.(\w+)|apt-get|$)", TEXT, re.M)
    assert set(network) - {""} == {"source", "patch", "compile", "firmwarefetch"}
