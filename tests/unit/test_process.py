"""What other programs get of the environment."""

from __future__ import annotations

import pytest

from builder import process


def test_programs_find_the_network_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both spellings of each: with the upper-case NO_PROXY alone, what is in the house stays there."""
    proxies = {name: name for kind in ("http", "https", "no") for name in (f"{kind}_proxy", f"{kind}_PROXY".upper())}
    for name in (*proxies, "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, name)
    found = process.environment({"EXTRA": "1"})
    assert {name: found[name] for name in proxies} == proxies
    assert found["EXTRA"] == "1"
    assert "AWS_SECRET_ACCESS_KEY" not in found
