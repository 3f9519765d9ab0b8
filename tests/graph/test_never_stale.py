"""Whatever was built before, and however it ended: what comes out is what a build from nothing gives, bit for bit."""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from builder.build import Built
from builder.engine.base import BaseImage
from builder.errors import BuildError
from tests.conftest import ROOT
from tests.graph.conftest import FakeProject
from tests.graph.edits import (
    Edit,
    Outcome,
    added,
    both,
    content,
    differences,
    from_nothing,
    gone,
    in_mount,
    kernel_release,
    link,
    listed,
    new_project,
    option,
    outcome,
    patches,
    reset,
    setting,
    source,
)
from tests.graph.kills import killed_build, processes_of

pytestmark = pytest.mark.engine


@dataclass
class Proof:
    """Compares builds of one project with builds from nothing.

    Attributes:
        folder: Holds the copies that are built from nothing.
        known: What came of them, by their content.
        said: All that was done since the start of the test, in plain words.
    """

    project: FakeProject
    folder: Path
    known: dict[str, tuple[Outcome, Path]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Have the project as it was at first; what earlier builds have left stays."""
        reset(self.project)
        self.said.clear()

    def apply(self, edit: Edit) -> None:
        edit.apply(self.project)
        self.said.append(edit.words)

    def build(self, *edits: Edit, scope: str = "") -> Built:
        """Make edits, build, and compare."""
        for edit in edits:
            self.apply(edit)
        built = self.project.build(scope)
        self.said.append(f"build ({', '.join(built.compiled.get('object_tree', ['nothing compiled']))})")
        got = outcome(self.project, built)
        wanted, copy = self.wanted()
        if got != wanted:
            told = "\n".join(f"{number}. {what}" for number, what in enumerate(self.said, 1))
            found = "\n".join(differences(self.project.root / "dist", copy / "dist")) or "images alone"
            pytest.fail(f"another build than from nothing, after\n{told}\nin\n{found}", pytrace=False)
        return built

    def wanted(self) -> tuple[Outcome, Path]:
        """What the project comes to from nothing, and the copy that was built."""
        key = content(self.project)
        if key not in self.known:
            copy = self.folder / secrets.token_hex(4)
            self.known[key] = from_nothing(self.project, copy), copy
        return self.known[key]


def new_proof(base: BaseImage, root: Path) -> Proof:
    """Of a project of its own, in a folder."""
    return Proof(new_project(base, root / "project"), root / "copies")


@pytest.fixture(scope="module")
def shared(base: BaseImage, tmp_path_factory: pytest.TempPathFactory) -> Proof:
    return new_proof(base, tmp_path_factory.mktemp("stale"))


@pytest.fixture
def proof(shared: Proof) -> Proof:
    """One project for all tests: each starts with it as it was at first, and with what the ones before have left."""
    shared.start()
    return shared


def is_kept(built: Built) -> bool:
    """Whether the build went on in the object tree of the one before."""
    return any("is kept" in line for line in built.compiled["object_tree"])


AS_IT_WAS = Edit("all as it was", reset)
SND, FAKE_H = "sound/core/snd.c", "include/linux/fake.h"
SHADOW = "arch/x86/include/linux/limits.h"
SYSTEMS, SYSTEMS_TEXT = "tools/include/string.h", '#include_next <string.h>\n#define NAME "UNW"\n'
ASKED = "arch/x86/include/asm/string-start.h"
MODULE = "kernel/drivers/net/dummy.ko"


def snd(text: str, when: str = "now", *, replaced: bool = False) -> Edit:
    return source(SND, '"snd"', f'"{text}"', when=when, replaced=replaced)


SEQUENCES: dict[str, Sequence[Edit]] = {
    "patches added, changed, reordered, removed": (
        patches("limit", "first", "second"),
        patches("higher limit", "second", "first"),
        patches(),
    ),
    "another version and back": (source("Makefile", "SUBLEVEL = 99", "SUBLEVEL = 100"), AS_IT_WAS),
    "files changed, with times new and old": (
        both(snd("sn2", "2020"), source(FAKE_H, "LEVEL 1", "LEVEL 3", when="older")),
        both(snd("sn3", "2020"), source(FAKE_H, "LEVEL 1", "LEVEL 4", when="older")),
        both(snd("sn4", "older", replaced=True), source(FAKE_H, "LEVEL 1", "LEVEL 5", replaced=True)),
    ),
}
MORE_SEQUENCES: dict[str, Sequence[Edit]] = {
    "a header before another": (added(SHADOW, "#define FAKE_LIMIT 9\n", when="2020"), gone(SHADOW)),
    "modules off, built in, and on again": (
        both(option("DUMMY", "n"), option("SND", "y")),
        both(option("DUMMY", "m"), option("CRC32", "n"), option("EXT4_FS_POSIX_ACL", "n")),
        AS_IT_WAS,
    ),
    "a generated header off": (option("XEN", "n"), AS_IT_WAS),
    "sources removed, and other Makefiles and Kconfigs": (
        both(
            source("drivers/net/Makefile", "fakenic.o", ""),
            gone("drivers/net/fakenic.c"),
            source("drivers/net/vxlan/Makefile", " vxlan_mdb.o", ""),
            source("init/Kconfig", "default 17", "default 18"),
        ),
        AS_IT_WAS,
    ),
    "what host programs are made of, and what they read": (
        both(
            source("lib/gen_crc32table.c", "0xedb88320u", "0x82f63b78u", when="older"),
            source("usr/default_cpio_list", "0700", "0755", when="2020"),
        ),
        AS_IT_WAS,
    ),
    "a rule changed whose command is not saved": (
        source("lib/Makefile", "cmd_crc32 = $< > $@", "cmd_crc32 = $< | tr 8 9 > $@"),
    ),
    "a patch with a header in a generated one's place": (patches("wrapped"), patches()),
    "a tool off": (option("ASN1", "n"), option("ASN1", "y")),
    "a tool that every object goes through off": (option("UNWINDER_ORC", "n"), AS_IT_WAS),
    "a header before one of the system's": (added(SYSTEMS, SYSTEMS_TEXT, when="2020"), gone(SYSTEMS)),
    "a header before one that only a build makes": (
        added("arch/x86/include/asm/xen-hypercalls.h", "#define HYPERCALL(name) 77\n"),
    ),
    "a header that a file asks for": (added(ASKED, "#define STRING_START 1\n", when="2020"), gone(ASKED)),
    "a link to another header": (link("include/linux/block.h", "block-large.h"), AS_IT_WAS),
    "a script changed": (source("scripts/mkimage.py", "0x20F", "0x20E"), AS_IT_WAS),
    "a table of a generated header": (source("arch/x86/entry/syscalls/xen.tbl", "update 1", "update 2", when="2020"),),
    "lists": (listed(MODULE, extra=False), listed(MODULE, extra=True)),
}


def check_edits(proof: Proof, edits: Sequence[Edit]) -> None:
    proof.project.build()
    for edit in edits:
        proof.build(edit)


@pytest.mark.parametrize("edits", SEQUENCES.values(), ids=SEQUENCES)
def test_edits(proof: Proof, edits: Sequence[Edit]) -> None:
    check_edits(proof, edits)


@pytest.mark.heavy
@pytest.mark.parametrize("edits", MORE_SEQUENCES.values(), ids=MORE_SEQUENCES)
def test_more_edits(proof: Proof, edits: Sequence[Edit]) -> None:
    check_edits(proof, edits)


def test_an_object_tree_is_kept_at_all(proof: Proof) -> None:
    """Without that, all else here would prove nothing."""
    proof.apply(snd(secrets.token_hex(4)))  # never built: the object tree is what this build leaves, and no other
    proof.project.build()
    built = proof.build(snd("kept"), option("DUMMY", "y"), patches("limit"))
    assert is_kept(built)
    assert built.compiled["objects"] < 12


def test_an_object_tree_that_is_lost_costs_no_compile(proof: Proof) -> None:
    """Where the compiler cache is kept, which has symbol versions too."""
    scope = secrets.token_hex(6)
    first = proof.project.build(scope)
    in_mount(proof.project, "obj", "find . -mindepth 1 -delete", scope=scope)
    proof.apply(added("net/README", "No object is made of this.\n"))
    again = proof.project.build(scope)
    assert not is_kept(again)
    counts = again.compiled["compiler_cache"]
    assert counts.get("cache_miss", 0) == 0
    assert counts["direct_cache_hit"] == first.compiled["compiler_cache"]["cache_miss"] > 0
    assert again.compiled["objects"] == first.compiled["objects"]


@pytest.mark.heavy
@pytest.mark.parametrize("line", ["packages: [gawk]", "as_of: later"])
def test_another_toolchain(base: BaseImage, tmp_path: Path, line: str) -> None:
    proof = new_proof(base, tmp_path)
    proof.build()
    proof.build(setting("  suite: trixie\n", f"  suite: trixie\n  {line}\n"))


# Builds that end badly.


def test_a_failed_compile_is_mended(proof: Proof) -> None:
    proof.project.build()
    proof.apply(snd('" + nonsense + "'))
    proof.apply(source("init/main.c", "int fake_level", "int nr_fakes = 3;\n\nint fake_level"))
    with pytest.raises(BuildError):
        proof.project.build()
    proof.said.append("build, which fails")
    proof.build(snd("sn9", "2020"))


SLOW = source(  # compiles for a second or two
    "net/ipv4/tcp.c",
    "int tcp_sockets",
    "#define A(x) x, x, x, x, x, x, x, x\nint many[] = { A(A(A(A(A(A(1)))))) };\n\nint tcp_sockets",
)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param((), id="the step"),
        pytest.param(("make",), id="make", marks=pytest.mark.heavy),
        pytest.param(("cc1",), id="the compiler", marks=pytest.mark.heavy),
    ],
)
def test_a_build_is_killed(proof: Proof, names: tuple[str, ...]) -> None:
    """And then what was built before is built again."""
    proof.project.build()
    proof.apply(both(SLOW, option("XEN", "n"), option("SND", "y"), source(FAKE_H, "LEVEL 1", "LEVEL 6")))
    assert killed_build(proof.project, names=names, once="cc1", after=0.2)
    proof.said.append("build, killed")
    proof.build(AS_IT_WAS)


def test_a_build_is_interrupted(proof: Proof) -> None:
    """The command `rosk` is, with Ctrl-C, and another one follows without it."""
    proof.project.build()
    proof.apply(both(SLOW, source(FAKE_H, "LEVEL 1", "LEVEL 7")))
    words = [str(ROOT / "rosk"), "build", "-C", str(proof.project.root)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    release = kernel_release(proof.project)
    while process.poll() is None and not any(name == "cc1" for _, name in processes_of(release)):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 130, told
    proof.said.append("build, interrupted")
    proof.build(snd("sn8"))


# Caches that somebody has touched. They are of a scope of their own: other builds on this machine use the common ones.

GARBAGE = 'for f in $(find . -type f -size +0 | grep -v "^./[.]rosk"); do head -c 64 /dev/urandom > "$f"; done'
TOUCHED = {
    "an object of the same size and time": (
        "obj",
        "touch -r fs/ext4/inode.o stamp; printf x | dd of=fs/ext4/inode.o bs=1 seek=80 conv=notrunc; "
        "touch -r stamp fs/ext4/inode.o; rm stamp",
    ),
}
MORE_TOUCHED = {
    "the compiler cache": ("ccache", GARBAGE),
    "the packing cache": ("pack", GARBAGE),
    "an object cut, with its time": (
        "obj",
        "touch -r lib/string.o stamp; head -c 200 lib/string.o > cut; cat cut > lib/string.o; "
        "touch -r stamp lib/string.o; rm stamp cut",
    ),
    "a file more": ("obj", "echo '#define FAKE_LIMIT 5' > include/generated/limits.h"),
    "a file less": ("obj", "rm include/config/auto.conf"),
    "everything": ("obj", GARBAGE),
    "the books": ("obj", 'for f in $(find .rosk* -type f); do head -c 64 /dev/urandom > "$f"; done'),
    "the books, gone": ("obj", "rm -r .rosk*"),
    "the stripped modules": (
        "obj",
        "test -f .rosk-kept/modules/book; "
        'for f in $(find .rosk-kept/modules/stripped -type f); do head -c 64 /dev/urandom > "$f"; done',
    ),
}


def check_touched(proof: Proof, kind: str, script: str) -> None:
    """Build in caches of its own, touch one of them, and build again with a small change."""
    scope = secrets.token_hex(6)
    proof.project.build(scope)
    in_mount(proof.project, kind, script, scope=scope)
    proof.said.append(f"in the {kind} mount: {script}")
    proof.build(source(FAKE_H, "LEVEL 1", "LEVEL 8"), scope=scope)


@pytest.mark.parametrize(("kind", "script"), TOUCHED.values(), ids=TOUCHED)
def test_a_cache_is_touched(proof: Proof, kind: str, script: str) -> None:
    check_touched(proof, kind, script)


@pytest.mark.heavy
@pytest.mark.parametrize(("kind", "script"), MORE_TOUCHED.values(), ids=MORE_TOUCHED)
def test_a_cache_is_touched_in_other_ways(proof: Proof, kind: str, script: str) -> None:
    check_touched(proof, kind, script)


# Any sequence.

TIMES = st.sampled_from(("now", "2020", "older"))
NUMBERS = st.integers(1, 3)
VALUES = {
    "nmy": ("DUMMY", "CRC32", "IKCONFIG"),
    "my": ("EXT4_FS", "SND"),
    "ny": (
        "XEN",
        "EXT4_FS_POSIX_ACL",
        "ASN1",
        "UNWINDER_ORC",
        "BLK_DEV_INITRD",
        "PRINTK",
        "MODULE_UNLOAD",
        "KERNEL_XZ",
    ),
}
OPTIONS = [option(name, value) for values, names in VALUES.items() for name in names for value in values]
PATCHED: Sequence[tuple[str, ...]] = (
    (),
    ("limit",),
    ("higher limit",),
    ("first", "second"),
    ("second", "first"),
    ("wrapped", "limit"),
)
OTHERS = [
    gone(SHADOW),
    gone(ASKED),
    AS_IT_WAS,
    *(link("include/linux/block.h", f"block-{name}.h") for name in ("small", "large")),
    *(source("drivers/net/vxlan/Makefile", " vxlan_mdb.o", text) for text in ("", " vxlan_mdb.o")),
    *(source("scripts/mkimage.py", "0x20F", text) for text in ("0x20E", "0x20F")),
    *(listed(MODULE, extra=extra) for extra in (False, True)),
]


@st.composite
def source_edits(draw: st.DrawFn) -> Edit:
    """A file of the source tree with another content, and some time."""
    number, when = draw(NUMBERS), draw(TIMES)
    return draw(
        st.sampled_from(
            (
                snd(f"sn{number}", when),
                snd(f"sn{number}", when, replaced=True),
                source(FAKE_H, "LEVEL 1", f"LEVEL {number}", when=when),
                source("lib/gen_crc32table.c", "< 16", f"< 1{number}", when=when),
                source("usr/default_cpio_list", "0700", f"070{number}", when=when),
                source("Makefile", "SUBLEVEL = 99", f"SUBLEVEL = 9{number}"),
                added(SHADOW, f"#define FAKE_LIMIT {number}\n", when=when),
                added(ASKED, f"#define STRING_START {number}\n", when=when),
            )
        )
    )


ANY_EDIT = st.one_of(
    st.sampled_from(OPTIONS),
    source_edits(),
    st.sampled_from([patches(*names) for names in PATCHED]),
    st.sampled_from(OTHERS),
)


@dataclass(frozen=True)
class Step:
    """Edits, and how the first build after them ends: `well`, or killed so many seconds after make has started."""

    edits: tuple[Edit, ...]
    killed: float | None

    def __str__(self) -> str:
        end = "" if self.killed is None else f", a build killed after {self.killed} s"
        return "; ".join(map(str, self.edits)) + end


STEPS = st.builds(
    Step, st.lists(ANY_EDIT, min_size=1, max_size=3).map(tuple), st.sampled_from((None, None, None, 0.1, 0.5, 1.0, 1.5))
)
ALWAYS = settings(
    deadline=None,
    phases=(Phase.explicit, Phase.generate),  # a shorter sequence is not worth its builds
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def check_sequence(base: BaseImage, folder: Path, steps: Sequence[Step]) -> None:
    for number, step in enumerate(steps, 1):
        note(f"{number}. {step}")
    root = folder / secrets.token_hex(4)
    proof = new_proof(base, root)
    proof.project.build()
    for step in steps:
        for edit in step.edits:
            proof.apply(edit)
        if step.killed is not None:
            died = killed_build(proof.project, after=step.killed)
            proof.said.append(f"build, {'killed' if died else 'not killed in time,'} after {step.killed} s of make")
        proof.build()
    shutil.rmtree(root)


@settings(ALWAYS, max_examples=1, derandomize=True)
@given(steps=st.lists(STEPS, min_size=4, max_size=4))
def test_any_sequence(base: BaseImage, tmp_path: Path, steps: list[Step]) -> None:
    check_sequence(base, tmp_path, steps)


@pytest.mark.heavy
@settings(ALWAYS, max_examples=40)
@given(steps=st.lists(STEPS, min_size=4, max_size=6))
def test_many_sequences(base: BaseImage, tmp_path: Path, steps: list[Step]) -> None:
    check_sequence(base, tmp_path, steps)
