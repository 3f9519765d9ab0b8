"""Hooks and patches: which can be taken over, and why the others cannot."""

from __future__ import annotations

import pytest

from builder.importing import hooks, patches
from tests.unit.importing.checkouts import PATCH


@pytest.mark.parametrize(
    "text",
    [
        "#!/bin/sh\n",
        "#!/bin/bash\n# cd /source; see ${BUILD}\n",
        "#!/bin/sh\nscripts/config --enable ACME\ncp -r /usr/src2/x drivers/\n",
        "#!/bin/sh\nDIR=drivers/acme\nmkdir $DIR\n",
        "#!/bin/sh\necho '${BUILDING} $DISTANCE'\n",
    ],
)
def test_a_hook_that_needs_nothing_of_the_checkout(text: str) -> None:
    assert hooks.refusal("01-driver", text.encode(), executable=True) is None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("cd /source/drivers", "/source is a path of the build container"),
        ("cd /usr/src/linux", "/usr/src is a path of the build container"),
        ("cd ${BUILD}/x", "${BUILD is a variable of the build container"),
        ("echo $DAPPER_SOURCE", "$DAPPER_SOURCE is a variable of the build container"),
        ("source scripts/version", "scripts/version is a path of the checkout"),
        ("cat ./config/x86/kernel-config", "./config/x86 is a path of the checkout"),
        ("cd $(dirname $0)/../..", "leads to the checkout"),
        ("apt-get install -y foo", "changes the build container"),
    ],
)
def test_a_hook_of_the_build_container(line: str, why: str) -> None:
    found = hooks.refusal("01-driver", f"#!/bin/bash\nset -e\n{line}\n".encode(), executable=True)
    assert found
    assert found[0] == 3
    assert why in found[1]


@pytest.mark.parametrize(
    ("name", "data", "executable", "why"),
    [
        ("01-driver", b"#!/bin/sh\n", False, "it is not executable"),
        ("01-driver.sh", b"#!/bin/sh\n", True, "its name has other characters"),
        ("01-driver", b"\x7fELF\xff", True, "it is a program"),
    ],
)
def test_a_hook_that_was_none(name: str, data: bytes, executable: bool, why: str) -> None:
    found = hooks.refusal(name, data, executable=executable)
    assert found
    assert found[0] is None
    assert why in found[1]


@pytest.mark.parametrize("text", [PATCH, PATCH.replace("a/", "linux-6.1/"), PATCH.replace("a/", "kernel.orig/")])
def test_a_patch(text: str) -> None:
    assert patches.refusal("patches/x86/a.patch", text.encode()) is None


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        (PATCH.replace("a/", "").replace("b/", ""), 1, "as for patch -p0"),
        (PATCH.replace("a/init/main.c", "Makefile").replace("b/init/main.c", "Makefile"), 1, "no leading folder"),
        ("", 1, "the patch is empty"),
        ("hello\n", 1, "no unified diff"),
        ("--- a/x\n+++ b/../../x\n@@ -1 +1 @@\n-x\n+y\n", 2, "reaches out of the kernel tree"),
    ],
)
def test_a_patch_that_cannot_be_applied(text: str, line: int, why: str) -> None:
    found = patches.refusal("patches/x86/a.patch", text.encode())
    assert found
    assert found[0] == line
    assert why in found[1]


def test_names_of_patches() -> None:
    assert patches.name_for("patches/x86/a.patch", "patches/x86", ()) == "a.patch"
    assert patches.name_for("patches/x86/net/a.patch", "patches/x86", ()) == "net-a.patch"
    assert patches.name_for("patches/x86/net/a.patch", "patches/x86", ["net-a.patch"]) == "net-a-2.patch"
