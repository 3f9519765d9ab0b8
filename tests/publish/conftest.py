"""Registries for the tests of publishing: started once, each test has an org of its own in them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.publish import gate
from tests.publish import registries
from tests.publish.registries import Look, Tls


@pytest.fixture(autouse=True)
def no_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's own login and cache."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "nobody"))
    monkeypatch.setenv("ROSK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def ungated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The releases of these tests are no kernels: what the gate is asked for is kept."""
    asked: list[str] = []
    monkeypatch.setattr(gate, "check", lambda release, **_: asked.append(release.v))
    return asked


@pytest.fixture
def org() -> str:
    return f"org{secrets.token_hex(4)}"


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Look]:
    with registries.serve(tmp_path_factory.mktemp("plain")) as host:
        yield Look(host)


@pytest.fixture(scope="session")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Look]:
    with registries.serve(tmp_path_factory.mktemp("second")) as host:
        yield Look(host)


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return registries.make_tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def locked(tls: Tls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Look]:
    """One with TLS and a password."""
    storage = tmp_path_factory.mktemp("locked")
    with registries.serve(storage, tls=tls, htpasswd=registries.HTPASSWD) as host:
        yield Look(host, tls, (registries.USER, registries.PASSWORD))
