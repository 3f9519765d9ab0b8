"""What buildah is given of the Dockerfile, and what its output tells; building with it is in tests/graph."""

from __future__ import annotations

import re

import pytest

from builder.context import dockerfiles
from builder.engine.buildah import _Events, _local, resolved
from builder.engine.events import BuildState
from builder.engine.stage import StageState
from builder.stages.common import MARK

OUTPUT = """\
[1/4] STEP 1/3: FROM localhost/base:1 AS tools
[1/4] STEP 2/3: LABEL rosk.stage=tools
[1/4] STEP 3/3: RUN apt-get -q update
Hit:1 http://deb.example.org trixie
Getting image source signatures
Storing signatures
[4/4] STEP 1/2: FROM scratch AS release
[4/4] STEP 2/2: COPY --from=compile /out /
[2/4] STEP 1/2: FROM 62e52600a274 AS compile
[2/4] STEP 2/2: RUN make
"""


def state(text: str, code: int) -> BuildState:
    found, heard = BuildState(), list[object]()
    events = _Events(lambda line: heard.extend(found.feed(line.encode())))
    for line in text.splitlines():
        events.line(line)
    events.end(code)
    found.finish()
    return found


def test_stages_that_wait_for_others() -> None:
    found = state(OUTPUT + "  CC init/main.o\nGetting image source signatures\n[4/4] COMMIT\n", 0)
    assert {name: stage.state for name, stage in found.stages.items()} == dict.fromkeys(
        ("tools", "release", "compile"), StageState.DONE
    )
    assert list(found.stages["compile"].tail) == ["  CC init/main.o"]
    assert list(found.stages["tools"].tail) == ["Hit:1 http://deb.example.org trixie"]


def test_the_stage_that_fails() -> None:
    said = f'{MARK}{{"event": "error", "what": "it does not compile"}}\n'
    found = state(f'{OUTPUT}{said}Error: building at STEP "RUN make": exit status 1\n', 1)
    assert found.failure is not None and found.failure.name == "compile"
    assert "exit status 1" in found.failure.error
    assert found.errors == [{"event": "error", "what": "it does not compile", "stage": "compile"}]


WAITED = """\
[4/4] STEP 1/1: FROM 62e52600a274 AS whole-source
[4/4] STEP 2/2: RUN pack --root /
"""


@pytest.mark.parametrize("said_last", [True, False])
def test_a_step_that_waited_for_a_stage_fails(said_last: bool) -> None:
    """Another stage has begun meanwhile, below whose step it says so; buildah's own error tells which step it was."""
    output = OUTPUT.replace("RUN make", 'RUN --mount=type=bind,from=signed     make --version "${V}"')
    said = f'{MARK}{{"event": "error", "what": "it does not compile"}}\n'
    error = 'Error: building at STEP "RUN --mount=type=bind,from=signed make --version "${V}"": exit status 1\n'
    last = "[3/4] STEP 1/1: FROM tools AS headers\n" if said_last else ""
    found = state(f"{output}{WAITED}{said}{last}{error}", 1)
    assert found.failure is not None and found.failure.name == "compile"
    assert found.errors == [{"event": "error", "what": "it does not compile", "stage": "compile"}]


def test_every_stage_of_the_dockerfile_is_named() -> None:
    text = resolved(
        (dockerfiles() / "kernel.Dockerfile").read_text(), {"BASE": "localhost/base:1", "SOURCE_KIND": "tree"}
    )
    lines = re.findall(r"^FROM .*$", text, re.M)
    assert "FROM localhost/base:1 AS tools" in lines
    assert "FROM source-tree AS kernel-source" in lines
    assert "FROM firmware-none AS kernel-firmware" in lines  # the Dockerfile's own value
    assert not any("$" in line for line in lines)
    assert len(set(re.findall(r"^LABEL rosk\.stage=(\S+)$", text, re.M))) == len(lines)


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("rosk-base:trixie", "localhost/rosk-base:trixie"),
        ("acme/os-kernel:6.1", "localhost/acme/os-kernel:6.1"),
        ("localhost/acme/x:1", "localhost/acme/x:1"),
        ("localhost:5000/acme/x:1", "localhost:5000/acme/x:1"),
        ("registry.example/acme/x:1", "registry.example/acme/x:1"),
    ],
)
def test_names(name: str, stored: str) -> None:
    assert _local(name) == stored


def test_buildah_lets_go_of_the_locks_of_a_step() -> None:
    """It does of the last one of a step, if that is still there; `apt-get update` empties its folder of lists."""
    text = (dockerfiles() / "kernel.Dockerfile").read_text()
    assert "target=/var/lib/apt/lists,sharing=locked" in text
    found = resolved(text, {})
    assert not re.search(r"target=/var/lib/apt/lists,sharing", found)
    updating = [before.rpartition("\nRUN ")[2] for before in found.split("apt-get -q update")[:-1]]
    assert len(updating) > 1
    for step in updating:
        *_, last = re.findall(r"--mount=type=cache,(\S+)", step)
        assert last == "id=rosk-apt-archives,target=/var/cache/apt,sharing=locked"


def test_a_stage_has_the_arguments_of_the_one_that_it_goes_on_from() -> None:
    text = resolved(
        "ARG BASE\nFROM ${BASE} AS one\nARG EPOCH\nARG SCOPE=x\nFROM one AS two\nFROM scratch AS three\n", {"BASE": "b"}
    )
    assert text.splitlines()[-6:] == [
        "FROM one AS two",
        "ARG EPOCH",
        "ARG SCOPE=x",
        "LABEL rosk.stage=two",
        "FROM scratch AS three",
        "LABEL rosk.stage=three",
    ]
