"""Signed releases compared: whose key it was, and who has to sign again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from builder.diff.asjson import as_json
from builder.diff.compare import Differences
from builder.diff.render import print_differences
from builder.diff.run import differences
from builder.diff.signing import name_of
from tests.keys import make_key, sign
from tests.unit.diff.releases import MODVERSIONS, Made, make_module, symvers

pytestmark = pytest.mark.host_programs

V = "6.12.1-acme"
EXT4, DUMMY = "kernel/fs/ext4.ko", "kernel/drivers/net/dummy.ko"
CONFIG = {"MODULES": "y", "MODVERSIONS": "y", "MODULE_SIG": "y", "MODULE_SIG_FORCE": "y"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("keys")
    return [make_key(folder / f"{name}.pem") for name in ("first", "second")]


def release(*keys: Path | None, more: tuple[str, ...] = (), **config: str) -> Made:
    """A release of two modules, each with a key that signs it, or none."""
    modules = [make_module(V, flags=MODVERSIONS, alias=name) for name in ("ext4", "dummy")]
    signed = [
        module if key is None else sign(module, key, key.with_name(f"{key.name}.crt"), *more)
        for module, key in zip(modules, keys, strict=True)
    ]
    lines = symvers((1, "printk", "vmlinux", "EXPORT_SYMBOL", ""))
    return Made(v=V, config={**CONFIG, **config}, main={EXT4: signed[0]}, extra={DUMMY: signed[1]}, symvers=lines)


def compared(tmp_path: Path, old: Made, new: Made) -> tuple[Differences, dict[str, Any], str]:
    found = differences(str(old.write(tmp_path / "old")), str(new.write(tmp_path / "new")), note=pytest.fail)
    with (tmp_path / "said").open("w") as file:
        print_differences(Console(file=file, highlight=False, emoji=False, width=200), found)
    return found, json.loads(json.dumps(as_json(found))), (tmp_path / "said").read_text()


def line(said: str, word: str) -> str:
    """What is said of a part in the summary."""
    return next((each.split(maxsplit=1)[1] for each in said.splitlines() if each.split()[:1] == [word]), "")


def test_the_same_key(tmp_path: Path, keys: list[Path]) -> None:
    found, told, said = compared(tmp_path, release(keys[0], keys[0]), release(keys[0], keys[0]))
    assert found.same and not told["signing"]["changed"]
    assert [each["modules"] for each in told["signing"]["old"]["keys"]] == [2]
    assert line(said, "signed") == ""  # nothing differs, and so nothing else is said
    assert told["external_modules"]["rebuild"] is False


@pytest.mark.parametrize("more", [(), ("-keyid",)], ids=["issuer", "keyid"])
def test_another_key_is_said_and_changes_no_module(tmp_path: Path, keys: list[Path], more: tuple[str, ...]) -> None:
    first, second = release(keys[0], keys[0], more=more), release(keys[1], keys[1], more=more)
    found, told, said = compared(tmp_path, first, second)
    assert not found.same and told["signing"]["changed"] and not any(told["modules"].values())
    old, new = (told["signing"][name]["keys"][0] for name in ("old", "new"))
    assert line(said, "signed") == f"2 by {old['name']} -> 2 by {new['name']}"
    assert line(said, "modules") == "same; 2 in the new release"
    # Whoever signed an external module with the first key has to do so with the second.
    assert told["external_modules"]["rebuild"] is True
    (reason,) = told["external_modules"]["reasons"]
    assert reason == f"MODULE_SIG_FORCE is on and they need a signature by {new['name']}; before it was {old['name']}"
    if not more:
        assert old["name"].startswith("modules of first (serial ") and "modules of second" in new["name"]
    else:
        assert old["name"].startswith("the key ") and old["name"] != new["name"]


def test_a_kernel_that_takes_modules_without_a_signature(tmp_path: Path, keys: list[Path]) -> None:
    new = release(keys[1], keys[1], MODULE_SIG_FORCE="n")
    _, told, _ = compared(tmp_path, release(keys[0], keys[0], MODULE_SIG_FORCE="n"), new)
    assert told["signing"]["changed"] and told["external_modules"]["rebuild"] is False


def test_modules_that_are_signed_in_one_release_only(tmp_path: Path, keys: list[Path]) -> None:
    first, second = keys
    _, told, said = compared(tmp_path / "a", release(None, None), release(first, first))
    name = told["signing"]["new"]["keys"][0]["name"]
    assert line(said, "signed") == f"none -> 2 by {name}"
    assert told["external_modules"]["reasons"][0].endswith("before there was none")
    _, told, said = compared(tmp_path / "b", release(first, first), release(first, None))
    assert line(said, "signed").endswith("1 not signed") and told["signing"]["changed"]
    _, told, said = compared(tmp_path / "c", release(first, second), release(first, first))
    assert told["signing"]["changed"] and told["external_modules"]["rebuild"] is False


def test_what_is_not_known_is_not_compared(tmp_path: Path, keys: list[Path]) -> None:
    compressed = replace(release(None, None), main={f"{EXT4}.xz": b"\xfd7zXZ\0"}, extra={})
    _, told, said = compared(tmp_path / "a", release(keys[0], keys[0]), compressed)
    assert told["signing"]["new"] is None and not told["signing"]["changed"]
    assert line(said, "signed").startswith("not compared")
    made = release(keys[0], keys[0])
    damaged = replace(made, main={EXT4: made.main[EXT4].replace(b"\x30\x82", b"\x31\x82")})
    _, _, said = compared(tmp_path / "b", made, damaged)
    assert "1 by nobody, with a damaged signature" in line(said, "signed")


@pytest.mark.parametrize("signer", ["", "00", "3000", "30020500", "zz", "3003310130020100", "300331013002010030"])
def test_a_signer_that_is_none_has_a_name_all_the_same(signer: str) -> None:
    assert name_of(signer)
