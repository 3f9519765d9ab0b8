"""What stops the program ends a publication at once, also when a registry says nothing any more."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import ROOT
from tests.faultproxy import Fault, fault_proxy
from tests.publish.material import VERSION, make_bundle, send
from tests.publish.registries import Look

SCRIPT = """
import signal, sys
from pathlib import Path
from builder.__main__ import _interrupt
from builder.publish.http import PATIENCE
from tests.publish.material import make_bundle, send
signal.signal(signal.SIGTERM, _interrupt)
send(make_bundle(Path(sys.argv[2]), sys.argv[3]), sys.argv[1], patience=PATIENCE)
"""


def test_a_stopped_program_ends(plain: Look, org: str, tmp_path: Path) -> None:
    with fault_proxy(plain.host, Fault("dead", lambda method, path: method == "PATCH", after=1000)) as proxy:
        words = [sys.executable, "-c", SCRIPT, proxy.host, str(tmp_path / "one"), org]
        process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        while not proxy.sent("PATCH") and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate(timeout=20)
        assert "InterruptedBuild" in error
        assert not plain.tags(f"{org}/os-kernel")
        proxy.faults.clear()
        assert all(each.good for each in send(make_bundle(tmp_path / "two", org), proxy.host))
    assert plain.tags(f"{org}/os-kernel") == {f"{VERSION}-{org}"}
