"""A real kernel that takes no module without a signature: what the project's key signed loads, nothing else does.

The kernel is small. With it a module is built that others wrote, as an external one.
"""

from __future__ import annotations

import json
import secrets
import subprocess
from pathlib import Path

import pytest

from builder.boot.console import Outcome
from builder.boot.run import BootOptions, boot
from builder.engine.base import BaseImage
from builder.releasefolder import find_release
from tests.conftest import run_rosk
from tests.graph.conftest import FakeProject
from tests.keys import EC, make_key
from tests.real.test_headers import fetch

pytestmark = [pytest.mark.engine, pytest.mark.heavy]

SETTINGS = """\
org: signed{token}
kernel:
  source: debian
  version: "6.12"
config:
  fragments: [config/signed.config]
lists:
  unlisted: extra
modules:
  - name: dm-writeboost
    source: folder
    path: dm-writeboost
signing:
  key: {key}
"""


@pytest.fixture(scope="module")
def project(base: BaseImage, tmp_path_factory: pytest.TempPathFactory) -> FakeProject:
    folder = tmp_path_factory.mktemp("signed")
    found = FakeProject(folder / "project", base)
    key = make_key(folder / "ecdsa.pem", *EC)
    found.write("config/rosk.yaml", SETTINGS.format(token=secrets.token_hex(4), key=key))
    for name, source in (("x86/kernel-config", "tiny.config"), ("signed.config", "signed.config")):
        found.write(f"config/{name}", (Path(__file__).parent / source).read_text())
    listed = ("kernel/drivers/net/dummy.ko", "kernel/crypto/crc32c_generic.ko")  # libcrc32c asks for the second
    found.write("lists/x86/modules.list", "".join(f"{module}\n" for module in listed))
    found.write("lists/x86/modules-extra.list", "")
    (folder / "fetched").mkdir()
    fetch("dm-writeboost-dkms", folder / "fetched").rename(found.root / "dm-writeboost")
    found.build()
    return found


def test_the_signatures_are_valid(project: FakeProject) -> None:
    """Against the certificate that is in the kernel image."""
    done = run_rosk("verify", project.root / "dist", "--json", "--only", "module-signatures-valid")
    (check,) = json.loads(done.out)["checks"]
    assert (done.code, check["status"]) == (0, "ok")
    assert check["saw"].endswith("against 1 certificate in the kernel image")


def test_only_what_is_signed_loads(project: FakeProject, tmp_path: Path) -> None:
    release = find_release(project.root / "dist")
    package = release.packages["kernel"]
    subprocess.run(["tar", "-xzf", package, "-C", tmp_path, "--wildcards", "*/dummy.ko"], check=True)
    (signed,) = tmp_path.rglob("dummy.ko")
    unsigned, changed = tmp_path / "unsigned.ko", tmp_path / "changed.ko"
    content = signed.read_bytes()
    for path, data in (
        (unsigned, content[: content.index(b"~Module signature")]),
        (changed, content.replace(b"description=", b"Description=")),
    ):
        path.write_bytes(data)
    found = boot(release, BootOptions(external=(unsigned, changed), kvm="off"), note=print)
    assert found is not None
    said = {module.path: module for module in found.report.modules}
    for name in ("kernel/drivers/net/dummy.ko", "extra/dm-writeboost.ko"):
        assert said[name].outcome is Outcome.LOADED, said[name]
    for name in ("external/1/unsigned.ko", "external/2/changed.ko"):
        assert said[name].outcome is Outcome.MISFIT, said[name]
        assert "ey was rejected" in said[name].why or "equired key" in said[name].why
