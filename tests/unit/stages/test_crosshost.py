from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from builder.stages.common import StageError
from builder.stages.configure import check_cross
from builder.stages.crosshost import CrossHost, refused
from builder.stages.dotconfig import Option

MAIN = "int say(void);\nint main(void) { return say(); }\n"
MACHINE = "#ifndef MACHINE\n#define MACHINE 1\n#endif\n"
ONE = MACHINE + "extern int stand_in;\nint main(void) { return MACHINE + stand_in; }\n"
SAY = MACHINE + "#include WORD\nint say(void) { return MACHINE + WORDS; }\n"
STAND_IN = "int stand_in = 40;\n"


@pytest.fixture
def cross(tmp_path: Path) -> str:
    """A compiler whose programs return another number; what is left of them tells who made them."""
    compiler = tmp_path / "bin/other-gcc"
    compiler.parent.mkdir()
    compiler.write_text('#!/bin/sh\nexec gcc -DMACHINE=2 "$@"\n')
    compiler.chmod(0o755)
    return str(compiler)


def sh(obj: Path, name: str, command: str, prefix: str = "savedcmd_") -> None:
    """Make a target as kbuild does, with its note."""
    subprocess.run(["sh", "-c", command.replace("ccache ", "")], cwd=obj, check=True)
    note = command.replace("$", "$$").replace("#", "$(pound)")
    target = obj / name
    target.with_name(f".{target.name}.cmd").write_text(f"{prefix}{name} := {note}\n\nsource_{name} := x.c\n")


@pytest.fixture
def obj(tmp_path: Path) -> Path:
    """An object tree with a program of two objects, and one of one source and an object that rosk has put there."""
    tree, obj = tmp_path / "tree", tmp_path / "obj"
    tree.mkdir()
    for name in ("scripts/mod", ".rosk"):
        (obj / name).mkdir(parents=True)
    for path, text in (
        (tree / "main.c", MAIN),
        (tree / "say.c", SAY),
        (tree / "one.c", ONE),
        (obj / "scripts/mod/wo#rd.h", "#define WORDS 5\n"),
        (obj / ".rosk/stand-in.c", STAND_IN),
    ):
        path.write_text(text)
    subprocess.run(["gcc", "-c", "-o", obj / ".rosk/stand-in.o", obj / ".rosk/stand-in.c"], check=True)
    word = """'-DWORD="wo#rd.h"'"""
    for name in ("main", "say"):
        source = f"{tree}/{name}.c"
        depends = f"-Wp,-MMD,scripts/mod/.{name}.o.d"
        command = f"ccache gcc {depends} {word} -I ./scripts/mod -c -o scripts/mod/{name}.o {source}"
        sh(obj, f"scripts/mod/{name}.o", command)
    sh(obj, "scripts/mod/modpost", "gcc -static -o scripts/mod/modpost scripts/mod/main.o scripts/mod/say.o")
    stand_in = obj / ".rosk/stand-in.o"
    sh(obj, "scripts/one", f"gcc -Wp,-MD,scripts/.one.d -o scripts/one {tree}/one.c {stand_in}", prefix="cmd_")
    return obj


def code(program: Path) -> int:
    return subprocess.run([program]).returncode


def test_programs_are_made_again_as_their_notes_say(obj: Path, cross: str, tmp_path: Path) -> None:
    out = tmp_path / "objtree"
    for name in ("scripts/mod/modpost", "scripts/one"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes((obj / name).read_bytes())
        (out / name).chmod(0o755)
    (out / "scripts/module.lds").write_text("SECTIONS {}\n")
    assert (code(out / "scripts/mod/modpost"), code(out / "scripts/one")) == (6, 41)
    before = {path: path.read_bytes() for path in obj.rglob("*") if path.is_file()}
    assert CrossHost(obj, obj / ".rosk/cross", cross).replace(out, 2) == ["scripts/one", "scripts/mod/modpost"]
    assert (code(out / "scripts/mod/modpost"), code(out / "scripts/one")) == (7, 42)
    assert os.access(out / "scripts/one", os.X_OK)
    # The kept object tree has what kbuild made, and nothing else.
    assert {path: path.read_bytes() for path in obj.rglob("*") if path.is_file()} == before


def test_a_program_without_a_note(obj: Path, cross: str, tmp_path: Path) -> None:
    out = tmp_path / "objtree"
    (out / "tools/objtool").mkdir(parents=True)
    (out / "tools/objtool/objtool").write_bytes((obj / "scripts/one").read_bytes())
    with pytest.raises(StageError, match=r"tools/objtool/objtool cannot be made"):
        CrossHost(obj, obj / ".rosk/cross", cross).replace(out, 1)


def test_what_a_config_cannot_have_in_a_cross_build() -> None:
    assert refused({"OBJTOOL": "n", "MODULES": "y"}) is None
    ask = Option(name="DEBUG_INFO_BTF_MODULES", value="y", where="config/kernel-config", line=7)
    with pytest.raises(StageError) as caught:
        check_cross({ask.name: ask}, {ask.name: "y"})
    assert "resolve_btfids" in caught.value.what
    assert (caught.value.where, caught.value.line) == ("config/kernel-config", 7)
    check_cross({}, {"MODULES": "y"})
