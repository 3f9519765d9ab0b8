"""The table of what is where, and the lines of progress."""

from __future__ import annotations

import io
import json

from rich.console import Console

from builder.publish.render import PlainWatch, as_json, make_watch, print_table
from builder.publish.transfer import Outcome, State

DIGEST = f"sha256:{'1' * 64}"
GOOD = Outcome(target="r", reference=f"registry.example/acme/{'long' * 30}:1", digest=DIGEST, state=State.SENT)
BAD = Outcome(target="s", reference="s/acme/os:1", digest=DIGEST, state=State.FAILED, why="HTTP 500\x1b[31m Fault")


def test_a_row_is_a_line_however_narrow_the_terminal_is() -> None:
    out = io.StringIO()
    print_table(Console(file=out, width=40), [GOOD, BAD])
    first, second = out.getvalue().splitlines()
    assert first.split() == [GOOD.reference, DIGEST, "sent"]
    assert second.index("failed") == len(GOOD.reference) + 2  # no empty column for a digest
    assert second.split() == [BAD.reference, "failed:", "HTTP", "500", "Fault"]


def test_json() -> None:
    found = json.loads(json.dumps(as_json([GOOD, BAD], dry_run=False)))
    assert found["complete"] is False
    assert [each["digest"] for each in found["references"]] == [DIGEST, None]
    assert as_json([GOOD], dry_run=False)["complete"]
    assert not as_json([GOOD], dry_run=True)["complete"]


def test_progress_in_lines() -> None:
    lines: list[str] = []
    watch = PlainWatch(lines.append)
    watch.begin("r", 1000, "2 blobs")
    for _ in range(10):
        watch.advance("r", 50)
    watch.advance("r", -500)  # it broke, and begins again
    for _ in range(20):
        watch.advance("r", 50)
    assert lines[0] == "r: 2 blobs to send, 1.0 kB"
    assert len(lines) == 11
    assert lines[-1] == "r: 1.0 kB of 1.0 kB"


def test_nothing_is_shown_when_quiet_and_lines_without_a_terminal() -> None:
    out = io.StringIO()
    for quiet in (True, False):
        with make_watch(Console(file=out), quiet=quiet) as watch:
            watch.begin("r", 0, "0 blobs")
            watch.note("r", "pushed r/a:1")
    assert out.getvalue() == "r: nothing to send\npushed r/a:1\n"


def test_bars_on_a_terminal() -> None:
    out = io.StringIO()
    with make_watch(Console(file=out, force_terminal=True, width=100), quiet=False) as watch:
        watch.begin("registry.example", 100, "1 blob")
        watch.advance("registry.example", 100)
        watch.note("registry.example", "pushed x")
    assert "registry.example" in out.getvalue()
    assert "pushed x" in out.getvalue()
