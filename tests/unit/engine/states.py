"""Engine states to judge and to plan from."""

from __future__ import annotations

from pathlib import Path

from builder.engine.probe import EngineState, System

BOOKWORM = System(id="debian", version="12", name="Debian GNU/Linux 12 (bookworm)", apt=True, systemd=False, root=True)

READY = EngineState(
    client="/usr/bin/docker",
    endpoint="unix:///var/run/docker.sock",
    chosen="",
    engine="26.1.5+dfsg1",
    refusal="",
    context="default",
    buildx="0.13.1+ds1",
    containerd_store=True,
    data_root=Path("/var/lib/docker"),
    free_bytes=50 << 30,
    dockerd=None,
    system=BOOKWORM,
)

BARE = EngineState(
    client=None,
    endpoint="unix:///var/run/docker.sock",
    chosen="",
    engine=None,
    refusal="",
    context=None,
    buildx=None,
    containerd_store=False,
    data_root=None,
    free_bytes=None,
    dockerd=None,
    system=BOOKWORM,
)
