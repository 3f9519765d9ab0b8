"""What `make modules_install` does, done without it: the same bytes, and no module stripped twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from builder.stages.modinstall import Installation, UnknownCommandError, read_plan

RELEASE = "6.1.2-rosk"
MODULES = ("fs/ext4/ext4", "net/a-b", "net/c_d", "lib/crc,x")

# What kbuilds of three ages do, as far as it matters: Linux 4.4 to 5.12, 5.13 to 6.2, and from then on.
_TOP = """
MODLIB := $(INSTALL_MOD_PATH)/lib/modules/6.1.2-rosk
STRIP ?= strip
export MODLIB STRIP
modules_install: first last
last: first
\tsh /src/scripts/depmod.sh $(DEPMOD) 6.1.2-rosk ""
"""
_OLD_TOP = """
first:
\t@rm -rf $(MODLIB)/kernel
\t@rm -f $(MODLIB)/source
\t@mkdir -p $(MODLIB)/kernel
\t@ln -s `cd $(src) && /bin/pwd` $(MODLIB)/source
\t@if [ ! . -ef  $(MODLIB)/build ]; then \\
\t\trm -f $(MODLIB)/build ; \\
\t\tln -s $(CURDIR) $(MODLIB)/build ; \\
\tfi
\t@sed 's:^:kernel/:' modules.order > $(MODLIB)/modules.order
\t@cp -f modules.builtin $(MODLIB)/
\t@$(MAKE) -f $(src)/Makefile.modinst
"""
_OLD = """
modules := $(shell sed 's/o$$/ko/' modules.order)
all: $(modules)
.PHONY: $(modules)
to = $(MODLIB)/kernel/$(@D)
$(modules):
\t@echo '  INSTALL $@'; mkdir -p $(to) ; cp $@ $(to) ; \\
\t$(STRIP) --strip-debug $(to)/$(notdir $@) ; true $(to)/$(notdir $@) && true $(to)/$(notdir $@)
"""
_MIDDLE = """
modules := $(addprefix $(MODLIB)/kernel/,$(shell sed 's/o$$/ko/' modules.order))
all: $(modules)
$(modules): $(MODLIB)/kernel/%: %
\t@set -e; echo '  INSTALL $@';  mkdir -p $(dir $@); cp $< $@
\t@set -e; echo '  STRIP   $@';  $(STRIP) --strip-debug $@
\t@set -e;  :
"""
_NEW_TOP = "\nfirst:\n\t@$(MAKE) -f $(src)/Makefile.modinst sign-only=\n"
_NEW = """
modules := $(addprefix $(MODLIB)/kernel/,$(shell sed 's/o$$/ko/' modules.order))
$(shell rm -fr $(MODLIB)/kernel $(MODLIB)/build)
installed := $(addprefix $(MODLIB)/,build modules.order modules.builtin) $(modules)
all: $(installed)
$(foreach dir, $(sort $(dir $(installed))), $(shell mkdir -p $(dir)))
gone = trap 'rm -f $@; trap - INT; kill -s INT $$$$' INT;
$(MODLIB)/build:
\t@set -e; echo '  SYMLINK $@'; $(gone) ln -s $(CURDIR) $@
$(MODLIB)/modules.order: modules.order
\t@set -e; exec >/dev/null; $(gone) sed 's:^\\(.*\\)\\.o$$:kernel/\\1.ko:' $< > $@
$(MODLIB)/modules.builtin: modules.builtin
\t@set -e; echo '  INSTALL '\\''$@'\\'''; $(gone) cp $< $@
$(modules): $(MODLIB)/kernel/%: %
\t@set -e; echo '  INSTALL $@'; $(gone) cp $< $@
\t@set -e; echo '  STRIP   $@'; $(gone) $(STRIP) --strip-debug $@
\t@set -e; $(gone) :
"""
KBUILDS = {"old": (_OLD_TOP, _OLD), "middle": (_OLD_TOP, _MIDDLE), "new": (_NEW_TOP, _NEW)}


@dataclass(frozen=True)
class Kernel:
    """An object tree with modules, and Makefiles that install them."""

    root: Path
    own: Installation

    @property
    def obj(self) -> Path:
        return self.own.obj

    @property
    def kept(self) -> Path:
        return self.own.keep / "stripped/lib/modules" / RELEASE / "kernel"

    def compile(self, module: str, text: str) -> None:
        """Make a .ko."""
        path = self.obj / f"{module}.ko"
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["gcc", "-g", "-c", "-o", path, "-x", "c", "-"], input=text.encode(), check=True)

    def install(self, installation: Installation | None = None) -> int:
        """Install where nothing is; returns how many modules were stripped, and sees that all is as make has it."""
        shutil.rmtree(self.own.root, ignore_errors=True)
        done = (installation or self.own).run()
        assert contents(self.own.root) == self.wanted()
        assert done.modules == len((self.obj / "modules.order").read_text().split())
        return done.stripped

    def wanted(self) -> dict[str, tuple[int, bytes]]:
        """What make installs."""
        words = [word.replace(str(self.own.root), str(self.root / "make")) for word in self.own.make]
        subprocess.run([*words, "-s", "modules_install"], check=True, stdout=subprocess.DEVNULL)
        found = contents(self.root / "make")
        shutil.rmtree(self.root / "make")
        return found


def contents(root: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and content of each file, and the folders, without the links that do not matter."""
    return {
        str(path.relative_to(root)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in root.rglob("*")
        if not path.is_symlink()
    }


@pytest.fixture
def make_kernel(tmp_path: Path) -> Callable[..., Kernel]:
    def made(kbuild: str = "new", *words: str) -> Kernel:
        src, obj, root = tmp_path / "src", tmp_path / "obj", tmp_path / "out/modules"
        src.mkdir()
        top, modinst = KBUILDS[kbuild]
        (src / "scripts").mkdir()
        (src / "Makefile").write_text(f"src := {src}\nexport src\n{_TOP}{top}".replace("/src/", f"{src}/"))
        (src / "scripts/depmod.sh").write_text('test "$1" = true\n')
        (src / "Makefile.modinst").write_text(modinst)
        obj.mkdir()
        (obj / "modules.order").write_text("".join(f"{module}.o\n" for module in MODULES))
        (obj / "modules.builtin").write_text("kernel/lib/x.ko\n")
        make = ["make", "-C", str(obj), "-f", str(src / "Makefile"), "-j2", "DEPMOD=true", f"INSTALL_MOD_PATH={root}"]
        own = Installation(
            make=[*make, *words],
            environment=dict(os.environ),
            obj=obj,
            root=root,
            release=RELEASE,
            keep=obj / ".kept/modules",
            rules="these",
            jobs=2,
        )
        kernel = Kernel(tmp_path, own)
        for number, module in enumerate(MODULES):
            kernel.compile(module, f"int number = {number};\n")
        (obj / "net/a-b.ko").chmod(0o755)
        return kernel

    return made


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel]) -> Kernel:
    return make_kernel()


@pytest.mark.parametrize("kbuild", KBUILDS)
def test_what_make_installs(make_kernel: Callable[..., Kernel], kbuild: str) -> None:
    kernel = make_kernel(kbuild)
    assert [kernel.install(), kernel.install()] == [4, 0]
    path = kernel.own.root / f"lib/modules/{RELEASE}/kernel/net/a-b.ko"
    assert b".debug_info" in (kernel.obj / "net/a-b.ko").read_bytes()
    assert b".debug_info" not in path.read_bytes()


@pytest.mark.skipif(not shutil.which("llvm-strip"), reason="no llvm-strip")
def test_llvms_strip(make_kernel: Callable[..., Kernel]) -> None:
    kernel = make_kernel("new", "STRIP=llvm-strip")
    assert [kernel.install(), kernel.install()] == [4, 0]


def test_another_strip_strips_all_anew(kernel: Kernel) -> None:
    assert kernel.install() == 4
    own = kernel.root / "x86-strip"
    own.write_text('#!/bin/sh\nexec strip "$@"\n')
    own.chmod(0o755)
    other = replace(kernel.own, make=[*kernel.own.make, f"STRIP={own}"])
    assert [kernel.install(other), kernel.install(other)] == [4, 0]
    own.write_text('#!/bin/sh\nexec  strip "$@"\n')
    assert kernel.install(other) == 4


def test_many_modules_in_few_runs(kernel: Kernel) -> None:
    names = [f"drivers/m{number}" for number in range(150)]
    for number, name in enumerate(names):
        (kernel.obj / "drivers").mkdir(exist_ok=True)
        shutil.copyfile(kernel.obj / f"{MODULES[number % len(MODULES)]}.ko", kernel.obj / f"{name}.ko")
    (kernel.obj / "modules.order").write_text("".join(f"{name}.o\n" for name in names))
    assert [kernel.install(), kernel.install()] == [150, 0]


def test_only_the_changed_one_is_stripped(kernel: Kernel) -> None:
    kernel.install()
    before = (kernel.obj / "net/c_d.ko").stat()
    kernel.compile("net/c_d", "int number = 7;\n")
    os.utime(kernel.obj / "net/c_d.ko", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (kernel.obj / "net/c_d.ko").stat().st_size == before.st_size
    assert kernel.install() == 1


def test_modules_that_come_and_go(kernel: Kernel) -> None:
    kernel.install()
    kernel.compile("net/new", "int new;\n")
    (kernel.obj / "modules.order").write_text("net/new.o\nnet/c_d.o\n")
    assert kernel.install() == 1
    assert sorted(path.name for path in kernel.kept.rglob("*.ko")) == ["c_d.ko", "new.ko"]
    (kernel.obj / "modules.order").write_text("")
    assert kernel.install() == 0
    assert list(kernel.kept.rglob("*.ko")) == []


def damage_a_byte(kernel: Kernel) -> None:
    path = kernel.kept / "net/c_d.ko"
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_a_link(kernel: Kernel) -> None:
    (kernel.kept / "net/c_d.ko").unlink()
    (kernel.kept / "net/c_d.ko").symlink_to(kernel.kept / "net/a-b.ko")


def exchange(kernel: Kernel) -> None:
    one, other = kernel.kept / "net/c_d.ko", kernel.kept / "net/a-b.ko"
    one.rename(kernel.kept / "x")
    other.rename(one)
    (kernel.kept / "x").rename(other)


def leave_a_half(kernel: Kernel) -> None:
    damage_a_byte(kernel)
    half = kernel.own.keep / "new" / (kernel.kept / "net/c_d.ko").relative_to(kernel.own.keep / "stripped")
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")


def cut_the_book(kernel: Kernel) -> None:
    book = kernel.own.keep / "book"
    book.write_bytes(book.read_bytes()[:-3])


@pytest.fixture
def asked(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What make was asked to do."""
    said = Installation._said

    def counted(own: Installation) -> str:
        words.append(said(own))
        return words[-1]

    words: list[str] = []
    monkeypatch.setattr(Installation, "_said", counted)
    return words


def test_what_make_says_is_kept(kernel: Kernel, asked: list[str]) -> None:
    kernel.install()
    kernel.compile("net/c_d", "int number = 7;\n")
    assert [kernel.install(), len(asked)] == [1, 1]


def test_what_make_says_without_modules_anew(kernel: Kernel, asked: list[str]) -> None:
    for path in kernel.obj.rglob("*.ko"):
        path.unlink()
    (kernel.obj / "modules.order").write_text("")
    assert [kernel.install(), kernel.install(), len(asked)] == [0, 0, 1]


OTHERS: dict[str, Callable[[Kernel], Installation]] = {
    "rules": lambda kernel: replace(kernel.own, rules="others"),
    "words for make": lambda kernel: replace(kernel.own, make=[*kernel.own.make, "X=1"]),
    "environment": lambda kernel: replace(kernel.own, environment={**kernel.own.environment, "X": "1"}),
    "rules that are not known": lambda kernel: replace(kernel.own, rules=""),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_make_is_asked_again(kernel: Kernel, asked: list[str], other: Callable[[Kernel], Installation]) -> None:
    kernel.install()
    assert [kernel.install(other(kernel)), len(asked)] == [0, 2]


def test_make_is_asked_again_for_other_modules(kernel: Kernel, asked: list[str]) -> None:
    kernel.install()
    (kernel.obj / "modules.order").write_text("net/c_d.o\n")
    assert [kernel.install(), len(asked)] == [0, 2]


def test_make_is_asked_again_where_its_modules_are_not_in_modules_order(kernel: Kernel, asked: list[str]) -> None:
    (kernel.obj / ".tmp_versions").mkdir()
    assert [kernel.install(), kernel.install(), len(asked)] == [4, 0, 2]


def test_make_is_asked_again_when_what_it_said_is_damaged(kernel: Kernel, asked: list[str]) -> None:
    kernel.install()
    said = kernel.own.keep / "said"
    said.write_bytes(said.read_bytes().replace(b"net/c_d", b"net/c_e"))
    assert [kernel.install(), len(asked)] == [0, 2]


DAMAGES: dict[str, tuple[Callable[[Kernel], object], int]] = {
    "a byte": (damage_a_byte, 1),
    "cut": (lambda kernel: os.truncate(kernel.kept / "net/c_d.ko", 100), 1),
    "gone": (lambda kernel: (kernel.kept / "net/c_d.ko").unlink(), 1),
    "a link": (replace_by_a_link, 1),
    "exchanged": (exchange, 2),
    "the book cut": (cut_the_book, 4),
    "no book": (lambda kernel: (kernel.own.keep / "book").unlink(), 4),
    "garbage in the book": (lambda kernel: (kernel.own.keep / "book").write_bytes(b"\xff\n\0"), 4),
    "a file more": (lambda kernel: (kernel.kept / "net/more.ko").write_bytes(b"more"), 0),
    "and what was half made": (leave_a_half, 1),
}


@pytest.mark.parametrize(("damage", "stripped"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_copy_never_ships(kernel: Kernel, damage: Callable[[Kernel], object], stripped: int) -> None:
    kernel.install()
    damage(kernel)
    assert [kernel.install(), kernel.install()] == [stripped, 0]


@pytest.mark.parametrize("signal_", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_build(make_kernel: Callable[..., Kernel], tmp_path: Path, signal_: signal.Signals) -> None:
    """strip has written a half of a module; the book before is of another one."""
    slow = tmp_path / "strip-slowly"
    slow.write_text(
        f"#!/bin/sh\nif [ -e {tmp_path}/slow ]; then shift; echo half > $1; touch {tmp_path}/half; sleep 30; fi\n"
        'exec strip "$@"\n'
    )
    slow.chmod(0o755)
    kernel = make_kernel("new", f"STRIP={slow}")
    kernel.install()
    shutil.rmtree(kernel.own.root)
    for module in MODULES[:3]:
        kernel.compile(module, "int changed = 1;\n")
    (tmp_path / "slow").touch()
    program = f"""
import os, signal, sys
from pathlib import PosixPath
from builder.stages.modinstall import Installation
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
{kernel.own!r}.run()
"""
    process = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
    while not (tmp_path / "half").exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal_)
    assert process.wait(20) != 0
    (tmp_path / "slow").unlink()
    assert [kernel.install(), kernel.install()] == [3, 0]


UNKNOWN = (
    "scripts/sign-file sha512 certs/signing_key.pem certs/signing_key.x509 /out/lib/modules/6.1.2-rosk/kernel/a.ko",
    "xz --lzma2=dict=2MiB -f /out/lib/modules/6.1.2-rosk/kernel/a.ko",
    "install -m0644 firmware/a.bin /out/lib/firmware/a.bin",
    "strip -g /out/lib/modules/6.1.2-rosk/kernel/a.ko",
    "strip --strip-debug /out/lib/modules/6.1.2-rosk/kernel/b.ko",
    "cp a.ko /out/lib/modules/6.1.2-rosk/kernel/a.ko",
    "cp b.ko c.ko /out/lib/modules/6.1.2-rosk/kernel",
    "cp -r fs /out/lib/modules/6.1.2-rosk/kernel/fs",
    "cp b.ko /etc/b.ko",
    "cp b.ko /out/../etc/b.ko",
    "cp `ls` /out/lib/modules/6.1.2-rosk/b",
    "cp b.ko /out/b.ko || true",
    "cp b.ko /out/b.ko & true",
    "rm -rf /out/lib/modules/6.1.3/kernel",
    "sed 's/a/b/' modules.order > /etc/passwd",
    "makes /out/x",
    "sh /src/scripts/depmod.sh depmod 6.1.2-rosk",
    "if [ -e x ]; then cp x /out/x; fi",
)


@pytest.mark.parametrize("line", UNKNOWN)
def test_what_is_not_known_is_left_to_make(line: str) -> None:
    known = "mkdir -p /out/lib/modules/6.1.2-rosk/kernel\ncp a.ko /out/lib/modules/6.1.2-rosk/kernel\n"
    assert read_plan(known, Path("/out"), RELEASE).copies == {Path("lib/modules/6.1.2-rosk/kernel/a.ko"): "a.ko"}
    with pytest.raises(UnknownCommandError):
        read_plan(f"{known}{line}\n", Path("/out"), RELEASE)


def test_what_make_cannot_do_is_left_to_it(kernel: Kernel) -> None:
    (kernel.obj / "net/c_d.ko").unlink()
    with pytest.raises(UnknownCommandError, match=r"c_d\.ko"):
        kernel.own.run()


def test_what_strip_cannot_do_is_left_to_make(kernel: Kernel) -> None:
    (kernel.obj / "net/c_d.ko").write_text("no module")
    with pytest.raises(UnknownCommandError, match="strip"):
        kernel.own.run()


def test_something_is_there_already(kernel: Kernel) -> None:
    kernel.own.root.mkdir(parents=True)
    with pytest.raises(UnknownCommandError, match="something"):
        kernel.own.run()
