"""ccache as the compile stage sets it up, with the real ccache: right where it alone would give an old object."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.stages import compilercache
from builder.stages.compilercache import CompilerCache

pytestmark = pytest.mark.host_programs


class Folder:
    """Sources, objects and a compiler cache."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def compile(
        self, source: str, *flags: str, toolchain: str = "1", shadows: str = "1", all_headers: bool = False
    ) -> tuple[bytes, int]:
        """The object, and how often the compiler itself was called."""
        cache = CompilerCache(self.root / "cache", "gcc", toolchain, shadows, all_headers=all_headers)
        self.run(cache, source, *flags)
        counts = cache.counts()
        return (self.root / "a.o").read_bytes(), counts["calls"] - counts.get("direct_cache_hit", 0)

    def run(self, cache: CompilerCache, source: str, *flags: str) -> None:
        environment = {**os.environ, **cache.environment()}
        words = ["ccache", "gcc", "-Wp,-MMD,.a.o.d", *flags, "-c", "-o", "a.o", source]
        (self.root / "a.o").unlink(missing_ok=True)
        done = subprocess.run(words, cwd=self.root, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    assert shutil.which("ccache"), "tests/run installs ccache"
    return Folder(tmp_path)


def test_a_header_that_changes_behind_its_times_is_read_again(folder: Folder, tmp_path: Path) -> None:
    """ccache remembers headers by the state of their files; what only the inode's own change time tells is a change."""
    folder.write("a.c", '#include "a.h"\nint a = A;\n')
    header = folder.root / "a.h"
    cache = CompilerCache(folder.root / "cache", "gcc", "1", "1", temporary=tmp_path / "passing")
    assert cache.environment()["CCACHE_TEMPDIR"] == str(tmp_path / "passing")
    objects = []
    for value in (1, 2, 1):
        folder.write("a.h", f"#define A {value}\n")
        os.utime(header, (1, 1))
        folder.run(cache, "a.c")
        objects.append((folder.root / "a.o").read_bytes())
    assert objects[0] == objects[2] != objects[1]
    counts = cache.counts()
    assert (counts["calls"], counts["direct_cache_hit"]) == (3, 1)


def test_headers_that_a_source_takes_for_the_systems(folder: Folder) -> None:
    """`-MMD`, which kbuild asks for, lists none of them."""
    folder.write("a.c", '#include <a.h>\n#include "b.h"\nint a = A + 8 * B;\n')
    folder.write("b.h", '#pragma GCC system_header\n#include "c.h"\n')
    objects = []
    for a, b in ((1, 1), (2, 1), (2, 2), (1, 1)):
        folder.write("sys/a.h", f"#define A {a}\n")
        folder.write("c.h", f"#define B {b}\n")
        objects.append(folder.compile("a.c", "-isystem", "sys", all_headers=True))
    assert [calls for _, calls in objects] == [1, 1, 1, 0]
    assert len({content for content, _ in objects}) == 3 and objects[0][0] == objects[3][0]


def test_a_second_compile_is_a_hit(folder: Folder) -> None:
    folder.write("a.c", '#include "a.h"\nint a = A;\n')
    folder.write("a.h", "#define A 1\n")
    first = folder.compile("a.c")
    assert first[1] == 1
    listed = (folder.root / ".a.o.d").read_text()
    assert folder.compile("a.c") == (first[0], 0)
    assert (folder.root / ".a.o.d").read_text() == listed
    assert listed.split() == ["a.o:", "a.c", "a.h"]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a.S", '.section .rodata\n.incbin "data.bin"\n'),
        ("a.c", 'asm(".section .rodata\\n.inc" "bin \\"data.bin\\"\\n");\n'),
        ("a.S", '.macro take name\n.incbin "\\name"\n.endm\n.section .rodata\ntake data.bin\n'),
        ("a.S", '.include "data.bin"\n'),
    ],
)
def test_what_the_assembler_reads_counts(folder: Folder, source: str, text: str) -> None:
    folder.write(source, text)
    folder.write("data.bin", ".long 1\n")
    first, _ = folder.compile(source)
    assert folder.compile(source) == (first, 0)
    folder.write("data.bin", ".long 2\n")
    second, calls = folder.compile(source)
    assert (second != first, calls) == (True, 1)
    assert "data.bin" in (folder.root / ".a.o.d").read_text().split()


def test_another_toolchain_and_headers_in_each_others_place_count(folder: Folder) -> None:
    folder.write("a.c", "#include <a.h>\nint a = A;\n")
    folder.write("late/a.h", "#define A 1\n")
    flags = ("-Iearly", "-Ilate")
    first, _ = folder.compile("a.c", *flags)
    assert folder.compile("a.c", *flags, toolchain="2")[1] == 1
    folder.write("early/a.h", "#define A 2\n")
    second, calls = folder.compile("a.c", *flags, shadows="2")
    assert (second != first, calls) == (True, 1)


@pytest.mark.parametrize("name", ["a.c", "a.h"])
def test_what_asks_for_the_time_is_compiled_each_time(folder: Folder, name: str) -> None:
    folder.write("a.h", "")
    folder.write("a.c", '#include "a.h"\n')
    folder.write(name, f"{(folder.root / name).read_text()}const char *built = __TIME__;\n")
    assert [folder.compile("a.c")[1] for _ in range(3)] == [1, 1, 1]


def test_the_password_of_a_server_goes_with_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    (tmp_path / "ccache.conf").write_text("remote_storage = http://rosk:hush@localhost:1\n")
    cache = CompilerCache(tmp_path / "cache", "gcc", "1", "1", config=tmp_path / "ccache.conf")
    assert list((tmp_path / "tmp").iterdir())
    cache.close()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_an_error_is_the_compilers_own(folder: Folder) -> None:
    cache = CompilerCache(folder.root / "cache", "gcc", "1", "1")
    folder.write("a.c", "int a = ;\n")
    words = ["ccache", "gcc", "-Wp,-MMD,.a.o.d", "-c", "-o", "a.o", "a.c"]
    done = subprocess.run(
        words, cwd=folder.root, env={**os.environ, **cache.environment()}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "a.c:1:9: error: expected expression" in done.stderr
    assert not (folder.root / ".a.o.d.as").exists()


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def speaking() -> Iterator[str]:
    """The address of a server that answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            client, _ = server.accept()
            with client:
                client.recv(100)
                client.sendall(b"-NOAUTH Authentication required.\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"redis://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def configured(tmp_path: Path, address: str) -> tuple[str, list[dict[str, object]]]:
    (tmp_path / "given").write_text(f"max_size = 1G\nremote_storage = {address}\n")
    cache = CompilerCache(tmp_path, "gcc", "1", "1", config=tmp_path / "given")
    return Path(cache.environment()["CCACHE_CONFIGPATH"]).read_text(), cache.warnings


def test_a_server_that_answers_is_used(tmp_path: Path, speaking: str) -> None:
    text, warnings = configured(tmp_path, speaking)
    assert f"remote_storage = {speaking}|connect-timeout=200|operation-timeout=1000" in text
    assert warnings == []


@pytest.mark.parametrize("kind", ["silent", "closed", "unknown"])
def test_a_dead_server_is_left_out_and_said(
    tmp_path: Path, silent: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilercache, "_SECONDS", 0.2)
    addresses = {"silent": silent, "closed": "http://127.0.0.1:1/ccache", "unknown": "redis://no-host.invalid"}
    text, warnings = configured(tmp_path, addresses[kind])
    assert "remote_storage" not in text
    assert "max_size = 1G" in text
    assert [entry["kind"] for entry in warnings] == ["compiler-cache"]
