"""What the source code of modules says that they may load, before a compile."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from builder.stages.common import StageError
from builder.stages.firmwareasks import asks, expand, flatten
from tests.conftest import ROOT
from tests.unit.stages.faketree import run_stage

DRIVER = """\
#include <linux/module.h>
#include "names.h"
#define API 77
#define PRE "iwlwifi-cc-a0-"
#define FW(api) PRE __stringify(api) ".ucode"
#define BOTH(pre, api) MODULE_FIRMWARE(pre "-" __stringify(api) ".bin"); MODULE_FIRMWARE(pre ".cfg")
#error not while it is only looked at
static const char *text = "a // string";
MODULE_FIRMWARE("plain.fw"); /* MODULE_FIRMWARE("no.fw") */
// MODULE_FIRMWARE("no-either.fw");
MODULE_FIRMWARE(FW(API));
BOTH("chip", 3);
MODULE_FIRMWARE(FROM_HEADER);
#if IS_ENABLED(CONFIG_ONE)
MODULE_FIRMWARE("one.fw");
#endif
#ifdef CONFIG_TWO
MODULE_FIRMWARE("two.fw");
#endif
#if IS_BUILTIN(CONFIG_ONE) || IS_ENABLED(CONFIG_THREE)
MODULE_FIRMWARE("three.fw");
#endif
MODULE_FIRMWARE(NAME_OF_ANOTHER_WORLD);
MODULE_FIRMWARE("qed-" __stringify(FW_MAJOR_VERSION) ".bin");
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "linux/drivers/net/deep"
    folder.mkdir(parents=True)
    (folder / "driver.c").write_text(DRIVER)
    (folder / "other.c").write_text("int nothing;\n")
    (folder.parent / "names.h").write_text('#define FROM_HEADER "header.fw"\n#include "names.h"\n')
    return tmp_path / "linux"


def test_names_that_macros_put_together_are_told(tree: Path) -> None:
    parts = {"kernel/drivers/net/deep/d.ko": {"drivers/net/deep/driver.o", "drivers/net/deep/other.o"}}
    found = asks(tree, {**parts, "kernel/x.ko": {"drivers/net/deep/other.o"}}, {"ONE": "m", "TWO": "y", "THREE": "n"})
    assert found == {
        "kernel/drivers/net/deep/d.ko": (
            {"plain.fw", "iwlwifi-cc-a0-77.ucode", "chip-3.bin", "chip.cfg", "header.fw", "one.fw", "two.fw"},
            2,
        )
    }


def test_headers_outside_of_the_tree_are_left_out(tree: Path) -> None:
    (tree.parent / "secret.h").write_text('MODULE_FIRMWARE("secret.fw");\n')
    file = tree / "drivers/net/deep/driver.c"
    file.write_text('#include "../../../../secret.h"\n#include "/etc/passwd"\nMODULE_FIRMWARE("a.fw");\n')
    text = flatten(tree, file)
    assert "secret" not in text and "root:" not in text
    assert expand(text, {}) == ({"a.fw"}, 0)


def test_without_gcc_it_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StageError, match="gcc is not installed"):
        expand('MODULE_FIRMWARE("a.fw")', {})


def test_the_program_reads_a_kernel_tree(tmp_path: Path) -> None:
    tree = tmp_path / "linux"
    shutil.copytree(ROOT / "tests/faketree", tree, symlinks=True)
    (tmp_path / "config").write_text("CONFIG_NET=y\nCONFIG_NETDEVICES=y\nCONFIG_FAKENIC=m\nCONFIG_MODULES=y\n")
    path = "kernel/drivers/net/fakenic.ko"
    (tmp_path / "options.json").write_text(json.dumps({path: "CONFIG_FAKENIC"}))
    own: list[str | Path] = [
        "--tree",
        tree,
        "--config",
        tmp_path / "config",
        "--module-options",
        tmp_path / "options.json",
    ]
    done = run_stage("firmwareasks", *own, "--srcarch", "x86", "--out", tmp_path / "asked.json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "asked.json").read_text())
    assert told == {"asked": {path: ["fakenic/nic-1.bin", "fakenic/nic-2.bin"]}, "unclear": {}}
