"""What goes wrong on the way to a registry: nothing is half-published, a second run completes it, all mirrors agree.

One registry is spoken to directly, the other through a proxy that injects the fault; its registry is the one with TLS
and a password, the proxy ends and begins TLS.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Container, Sequence
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from builder.publish.artifact import RELEASE_NAME
from builder.publish.sources import Bundle
from builder.publish.transfer import State
from builder.settings import Registry
from tests.faultproxy import ALWAYS, Fault, fault_proxy
from tests.publish.material import NAMES, VERSION, Watch, make_bundle, send
from tests.publish.registries import PASSWORD, USER, Look, Tls, basic, docker_config

REPOSITORIES = (*NAMES, RELEASE_NAME)


def blob(method: str, path: str) -> bool:
    return method == "PATCH"


def end_of_blob(method: str, path: str) -> bool:
    return method == "PUT" and "/blobs/uploads/" in path


def begin_of_blob(method: str, path: str) -> bool:
    return method == "POST"


def manifest(method: str, path: str) -> bool:
    return method == "PUT" and "/manifests/sha256:" in path


def tag(method: str, path: str) -> bool:
    return method == "PUT" and "/manifests/" in path and "sha256:" not in path


def third_tag(method: str, path: str) -> bool:
    return tag(method, path) and "/os-kernel/" in path


def look(method: str, path: str) -> bool:
    return method in ("GET", "HEAD") and path != "/v2/"


def anything(method: str, path: str) -> bool:
    return True


Case = tuple[str, Callable[[str, str], bool]]
STATUSES = ("401", "404", "429", "500")
KINDS = ("refused", "cut", "lost", "garbage", *STATUSES)
PLACES: tuple[Callable[[str, str], bool], ...] = (begin_of_blob, blob, end_of_blob, manifest, tag, third_tag, look)
# That a blob is there although the answer was lost is seen: no failure comes of it.
CASES = [
    *(
        (kind, place)
        for place in (blob, end_of_blob, third_tag)
        for kind in KINDS
        if (kind, place) != ("lost", end_of_blob)
    ),
    *(
        (kind, place)
        for place in (begin_of_blob, manifest, look, anything)
        for kind in ("refused", "cut", "429", "garbage")
    ),
]
QUICK = {
    blob: {"refused", "cut", "lost", "garbage", "500"},
    end_of_blob: {"cut", "404"},
    third_tag: {"cut", "lost", "401", "500"},
    begin_of_blob: {"429"},
    manifest: {"cut"},
    look: {"429"},
    anything: {"refused"},
}
"""Of each place what differs most: the others are `heavy`."""
SECURE = [("refused", blob), ("cut", blob), ("401", blob), ("garbage", manifest), ("500", third_tag), ("401", anything)]
QUICK_CASES = [(kind, place) for place in QUICK for kind in sorted(QUICK[place])]
QUICK_SECURE = [("cut", blob), ("401", anything)]


def cases(every: Sequence[Case], quick: Container[Case]) -> list[ParameterSet]:
    """Cases of which those that are not quick run only when asked for."""
    return [pytest.param(*each, marks=[] if each in quick else [pytest.mark.heavy]) for each in every]


@pytest.fixture
def release(tmp_path: Path, org: str) -> Bundle:
    return make_bundle(tmp_path, org)


def versions(bundle: Bundle) -> set[str]:
    return {part.v + part.arch.tag_suffix for part in bundle.parts}


def nothing_half_published(where: Look, org: str) -> int:
    """Each tag that is there leads to things that are all there; how many tags there are."""
    tags = [(f"{org}/{name}", each) for name in REPOSITORIES for each in where.tags(f"{org}/{name}")]
    for repository, each in tags:
        where.complete(repository, each)
    return len(tags)


def agree(one: Look, other: Look, org: str, bundle: Bundle) -> None:
    for name in REPOSITORIES:
        repository = f"{org}/{name}"
        assert one.tags(repository) == other.tags(repository) == versions(bundle)
        for each in versions(bundle):
            assert one.manifest(repository, each) == other.manifest(repository, each)
            assert one.complete(repository, each) == other.complete(repository, each)


@pytest.mark.parametrize(("kind", "place"), cases(CASES, QUICK_CASES), ids=lambda each: getattr(each, "__name__", each))
def test_after_every_fault_a_second_run_completes(
    kind: str, place: Callable[[str, str], bool], plain: Look, second: Look, org: str, release: Bundle
) -> None:
    after = 20_000 if place is blob else 0
    with fault_proxy(second.host, Fault(kind, place, after=after)) as proxy:
        outcomes = send(release, plain.host, proxy.host)
        assert all(each.good for each in outcomes if each.target == plain.host)
        there = [each for each in outcomes if each.target == proxy.host]
        assert {each.state for each in there} & {State.FAILED}, there
        assert all(each.why for each in there if each.state is State.FAILED)
        count = nothing_half_published(second, org)
        if kind != "lost":
            assert count == sum(each.state is State.SENT for each in there)
        proxy.faults.clear()
        arrived = whole_blobs(second, org, release)
        proxy.seen.clear()
        outcomes = send(release, plain.host, proxy.host)
        assert all(each.good for each in outcomes), outcomes
        sent_again = [each for each in proxy.sent("PATCH") if each.size]
        assert len(sent_again) <= blobs(release) - arrived
    agree(plain, second, org, release)


def whole_blobs(where: Look, org: str, bundle: Bundle) -> int:
    """How many of the blobs are there in one repository at least."""
    found = set()
    for digest, repositories in placed(bundle).items():
        if any(where.get(f"{each}/blobs/{digest}", "HEAD").status_code == 200 for each in repositories):
            found.add(digest)
    return len(found)


def blobs(bundle: Bundle) -> int:
    return len(placed(bundle))


def placed(bundle: Bundle) -> dict[str, set[str]]:
    from builder.publish.content import reachable  # noqa: PLC0415

    found: dict[str, set[str]] = {}
    for part in bundle.parts:
        for each in reachable(bundle.store, part.target).blobs:
            found.setdefault(each.digest, set()).add(part.repository)
    return found


@pytest.mark.parametrize("kind", [*KINDS, "slow"])
def test_a_fault_that_passes_is_overcome(kind: str, plain: Look, org: str, release: Bundle) -> None:
    """Once at each place, in one run: it is not even noticed, and the bytes that are shown are those that count."""
    watch = Watch()
    places = [*PLACES]
    # A registry says what it does not have, so that 404 of an upload means one that is not known any more.
    if kind == "404":
        places = [blob, end_of_blob, look]
    faults = [Fault(kind, each, after=20_000 if each is blob else 0, times=1) for each in places]
    with fault_proxy(plain.host, *faults) as proxy:
        outcomes = send(release, proxy.host, watch=watch)
        assert {each.state for each in outcomes} == {State.SENT}, outcomes
        assert not [each for each in proxy.faults if each.times]
        assert watch.sent == watch.begun
    nothing_half_published(plain, org)


@pytest.mark.parametrize(("kind", "times", "twice"), [("500", 1, False), ("404", ALWAYS, True), ("500", ALWAYS, True)])
def test_a_blob_of_another_repository(
    kind: str, times: int, twice: bool, plain: Look, org: str, release: Bundle
) -> None:
    """It is mounted though that fails at first, and sent where it cannot be mounted."""
    fault = Fault(kind, lambda method, path: method == "POST" and "mount=" in path, times=times)
    with fault_proxy(plain.host, fault) as proxy:
        outcomes = send(release, proxy.host)
        assert {each.state for each in outcomes} == {State.SENT}, outcomes
        once = sum(release.store.blob(digest).size for digest in placed(release))
        assert (sum(each.size for each in proxy.sent("PATCH")) > once) == twice
    nothing_half_published(plain, org)


def test_dead_in_the_middle_of_a_blob(plain: Look, second: Look, org: str, release: Bundle) -> None:
    with fault_proxy(second.host, Fault("dead", blob, after=20_000)) as proxy:
        outcomes = send(release, plain.host, proxy.host)
        (why,) = {each.why for each in outcomes if each.target == proxy.host}
        assert "no answer" in why
        assert nothing_half_published(second, org) == 0
        proxy.faults.clear()
        assert all(each.good for each in send(release, plain.host, proxy.host))
    agree(plain, second, org, release)


def test_retry_after_is_honoured(plain: Look, release: Bundle) -> None:
    from builder.inputs.fetch import Patience  # noqa: PLC0415

    waits: list[float] = []
    patience = Patience(attempts=3, connect_timeout=5, read_timeout=5, sleep=waits.append)
    fault = Fault("429", blob, times=1, headers="Retry-After: 7\r\n")
    again = Fault("500", end_of_blob, times=2)
    with fault_proxy(plain.host, fault, again) as proxy:
        assert all(each.good for each in send(release, proxy.host, patience=patience))
    assert waits == [7.0, 0.5, 1.0]


def secure(tls: Tls) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tls.certificate, tls.key)
    return server, ssl.create_default_context(cafile=str(tls.ca))


@pytest.fixture
def login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Logs in at a host."""

    def at(host: str) -> None:
        folder = docker_config(tmp_path / "login", **{host: basic(USER, PASSWORD)})
        monkeypatch.setenv("DOCKER_CONFIG", str(folder))

    return at


@pytest.mark.parametrize(
    ("kind", "place"), cases(SECURE, QUICK_SECURE), ids=lambda each: getattr(each, "__name__", each)
)
def test_faults_with_tls_and_a_password(
    kind: str,
    place: Callable[[str, str], bool],
    plain: Look,
    locked: Look,
    tls: Tls,
    org: str,
    release: Bundle,
    login: Callable[[str], None],
) -> None:
    server, client = secure(tls)
    fault = Fault(kind, place, after=20_000 if place is blob else 0)
    with fault_proxy(locked.host, fault, server=server, client=client) as proxy:
        login(proxy.host)
        known = Registry(host=proxy.host, ca=tls.ca)
        outcomes = send(release, plain.host, known)
        assert {each.state for each in outcomes if each.target == proxy.host} & {State.FAILED}
        assert PASSWORD not in str(outcomes)
        nothing_half_published(locked, org)
        proxy.faults.clear()
        assert all(each.good for each in send(release, plain.host, known))
    agree(plain, locked, org, release)


def test_an_upload_goes_on_where_it_broke_off(org: str, tmp_path: Path, plain: Look) -> None:
    """Where a registry can say how far it got: one that does stands in front, and keeps what came."""
    from tests.publish.resuming import resuming_registry  # noqa: PLC0415

    bundle = make_bundle(tmp_path, org, size=400_000)
    with resuming_registry(cut=100_000) as (host, uploads):
        outcomes = send(bundle, host)
    assert {each.state for each in outcomes} == {State.SENT}
    longest = max(uploads.values(), key=lambda each: each.size)
    assert longest.starts[0] == 0
    assert longest.starts[1:] == sorted(set(longest.starts[1:]))
    assert longest.received == longest.size  # no byte twice


def test_faults_of_the_proxy_are_real(plain: Look, org: str, tmp_path: Path) -> None:
    """With none, all goes through, and it sees each byte of the blobs."""
    watch = Watch()
    with fault_proxy(plain.host) as proxy:
        assert all(each.good for each in send(make_bundle(tmp_path, org), proxy.host, watch=watch))
        assert sum(each.size for each in proxy.sent("PATCH")) == watch.sent[proxy.host]
    assert plain.tags(f"{org}/os-kernel") == {f"{VERSION}-{org}"}
