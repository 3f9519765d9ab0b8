"""Configs that `rosk config diff` finds without an engine."""

from __future__ import annotations

import gzip
import os
import threading
from pathlib import Path

import pytest

from builder.config.ask import ConfigOptions
from builder.config.sides import LIMIT, Sides, read_text
from builder.errors import InputError

FULL = "#\n# Automatically generated file; DO NOT EDIT.\n#\nCONFIG_NET=y\n# CONFIG_SND is not set\n"


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    return Sides(ConfigOptions(root=tmp_path))


def test_a_whole_config_is_read_also_with_gzip(sides: Sides, tmp_path: Path) -> None:
    plain, packed = tmp_path / "config", tmp_path / "config.gz"
    plain.write_text(FULL)
    packed.write_bytes(gzip.compress(FULL.encode()))
    for path in (plain, packed):
        side = sides.find(str(path))
        assert side.values == {"NET": "y", "SND": "n"} and side.name == str(path)


def test_a_pipe_is_read_as_a_whole(tmp_path: Path) -> None:
    text = FULL + "# one more line\n" * 3000
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    for data in (text.encode(), gzip.compress(text.encode(), 0)):
        writer = threading.Thread(target=fifo.write_bytes, args=(data,), daemon=True)
        writer.start()
        assert read_text(fifo) == text
        writer.join()


def test_a_release_is_read_by_its_folder_or_its_manifest(sides: Sides, tmp_path: Path) -> None:
    kernel = tmp_path / "dist/kernel"
    kernel.mkdir(parents=True)
    (kernel / "linux-6.12.99-acme-x86.tar.gz").touch()
    (kernel / "config").write_text(FULL)
    (tmp_path / "dist/manifest.json").write_text("{}")
    for name in ("dist", "dist/manifest.json"):
        side = sides.find(str(tmp_path / name))
        assert (side.name, side.values["NET"]) == ("release 6.12.99-acme", "y")


def test_what_is_no_config_is_refused(sides: Sides, tmp_path: Path) -> None:
    (tmp_path / "page").write_text("<html>404</html>\n")
    (tmp_path / "binary").write_bytes(b"\x7fELF\xff\xfe")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(FULL.encode())[:-12])
    (tmp_path / "bad.gz").write_bytes(b"\x1f\x8bnonsense")
    for name in ("page", "binary", "cut.gz", "bad.gz", "none", "."):
        with pytest.raises(InputError) as caught:
            sides.find(str(tmp_path / name))
        assert caught.value.hint


def test_one_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b"#" * (LIMIT + 1), 1))
    with pytest.raises(InputError, match="too large"):
        read_text(path)
