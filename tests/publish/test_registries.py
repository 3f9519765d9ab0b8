"""Publishing to real registries: what is where afterwards, and what a second run does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder.publish import spots
from builder.publish.artifact import RELEASE_NAME, Attachment
from builder.publish.content import DOCKER_LIST
from builder.publish.registry import RegistryClient
from builder.publish.transfer import State
from builder.settings import Registry
from tests.faultproxy import fault_proxy
from tests.publish import registries
from tests.publish.material import NAMES, VERSION, Watch, make_bundle, send
from tests.publish.registries import PASSWORD, USER, Look, Tls, basic, docker_config


def test_images_and_files_are_at_every_registry_with_the_same_digests(
    plain: Look, second: Look, org: str, tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path, org)
    watch = Watch()
    outcomes = send(bundle, plain.host, f"{second.host}/mirror/team", watch=watch)
    assert [outcome.state for outcome in outcomes] == [State.SENT] * 8
    v = f"{VERSION}-{org}"
    wanted = {part.repository: part.target.digest for part in bundle.parts}
    assert set(wanted) == {f"{org}/{name}" for name in (*NAMES, RELEASE_NAME)}
    for repository, digest in wanted.items():
        for look, where in ((plain, repository), (second, f"mirror/team/{repository}")):
            assert look.tags(where) == {v}
            assert look.manifest(where, v)[0] == digest
            look.complete(where, v)
            assert any(each.reference == f"{look.host}/{where}:{v}" and each.digest == digest for each in outcomes)
    assert watch.sent == watch.begun


def test_a_second_run_sends_nothing(plain: Look, org: str, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, org)
    with fault_proxy(plain.host) as proxy:
        send(bundle, proxy.host)
        sent = len(proxy.sent("PUT", "PATCH", "POST"))
        assert [each.state for each in send(bundle, proxy.host)] == [State.THERE] * 4
        assert len(proxy.sent("PUT", "PATCH", "POST")) == sent > 0


def test_what_images_share_is_sent_once(plain: Look, org: str, tmp_path: Path) -> None:
    """The other repositories get it by a mount."""
    bundle = make_bundle(tmp_path, org)
    with fault_proxy(plain.host) as proxy:
        send(bundle, proxy.host)
        mounts = [each for each in proxy.sent("POST") if "mount=" in each.path]
        sizes = [each.size for each in proxy.sent("PATCH")]
    assert len(mounts) == 2
    assert sizes.count(30_000) == 1
    for name in NAMES:
        plain.complete(f"{org}/{name}", f"{VERSION}-{org}")


def test_several_architectures_have_an_index(plain: Look, org: str, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, org, ("x86", "arm64"))
    assert all(each.good for each in send(bundle, plain.host))
    v = f"{VERSION}-{org}"
    targets = {(part.repository, part.arch.oci): part.target.digest for part in bundle.parts}
    for name in NAMES:
        repository = f"{org}/{name}"
        assert plain.tags(repository) == {v, f"{v}_arm64"}
        _, index = plain.manifest(repository, v)
        assert index["mediaType"] == DOCKER_LIST  # as the images: who reads them reads it
        entries = {each["platform"]["architecture"]: each["digest"] for each in index["manifests"]}
        assert entries == {arch: targets[repository, arch] for arch in ("amd64", "arm64")}
        assert plain.manifest(repository, f"{v}_arm64")[0] == targets[repository, "arm64"]
        plain.complete(repository, v)
    assert plain.tags(f"{org}/{RELEASE_NAME}") == {v, f"{v}_arm64"}


def test_an_architecture_that_comes_later_extends_the_tag(plain: Look, org: str, tmp_path: Path) -> None:
    v = f"{VERSION}-{org}"
    send(make_bundle(tmp_path / "one", org), plain.host)
    amd64, _ = plain.manifest(f"{org}/os-kernel", v)
    assert all(each.good for each in send(make_bundle(tmp_path / "two", org, ("x86", "arm64")), plain.host))
    index, document = plain.manifest(f"{org}/os-kernel", v)
    assert amd64 in {each["digest"] for each in document["manifests"]}
    # amd64 alone again: the index has it, and stays.
    outcomes = send(make_bundle(tmp_path / "three", org), plain.host)
    assert {each.state for each in outcomes} == {State.THERE}
    assert plain.manifest(f"{org}/os-kernel", v)[0] == index


def test_arm64_alone_leaves_the_plain_tag_alone(plain: Look, org: str, tmp_path: Path) -> None:
    v = f"{VERSION}-{org}"
    send(make_bundle(tmp_path / "one", org), plain.host)
    amd64, _ = plain.manifest(f"{org}/os-kernel", v)
    assert all(each.good for each in send(make_bundle(tmp_path / "two", org, ("arm64",)), plain.host))
    assert plain.manifest(f"{org}/os-kernel", v)[0] == amd64
    assert plain.tags(f"{org}/os-kernel") == {v, f"{v}_arm64"}


def test_other_content_under_a_tag_is_refused_and_nothing_is_sent(
    plain: Look, second: Look, org: str, tmp_path: Path
) -> None:
    v = f"{VERSION}-{org}"
    send(make_bundle(tmp_path / "one", org), plain.host)
    before = {name: plain.manifest(f"{org}/{name}", v)[0] for name in NAMES}
    other = make_bundle(tmp_path / "two", org, seed=2)
    with fault_proxy(plain.host) as proxy:
        outcomes = send(other, proxy.host, second.host)
        assert not proxy.sent("PUT", "PATCH", "POST")
        assert {each.state for each in outcomes if each.target == proxy.host} == {State.REFUSED}
        assert "--overwrite" in outcomes[0].why
        assert all(each.good for each in outcomes if each.target == second.host)
        assert {name: plain.manifest(f"{org}/{name}", v)[0] for name in NAMES} == before
        assert all(each.state is State.SENT for each in send(other, proxy.host, overwrite=True))
    assert plain.manifest(f"{org}/os-kernel", v)[0] == second.manifest(f"{org}/os-kernel", v)[0]


def test_moving_tags_only_when_asked(plain: Look, org: str, tmp_path: Path) -> None:
    registry = Registry(host=plain.host, moving_tags=("{series}", "latest"))
    v = f"{VERSION}-{org}"
    send(make_bundle(tmp_path / "one", org, ("x86", "arm64")), plain.host)
    assert plain.tags(f"{org}/os-kernel") == {v, f"{v}_arm64"}
    send(make_bundle(tmp_path / "two", org, ("x86", "arm64")), registry)
    expected = {v, f"{v}_arm64", "6.12", "6.12_arm64", "latest", "latest_arm64"}
    assert plain.tags(f"{org}/os-kernel") == expected == plain.tags(f"{org}/{RELEASE_NAME}")
    assert plain.manifest(f"{org}/os-kernel", "6.12") == plain.manifest(f"{org}/os-kernel", v)
    # One that is there with other content moves, with no --overwrite.
    later = make_bundle(tmp_path / "three", org, seed=3)
    send(later, plain.host, moving=("6.12",), overwrite=True)
    assert plain.manifest(f"{org}/os-kernel", "6.12")[0] == later.parts[2].target.digest


def test_a_dry_run_sends_nothing_and_says_what_it_would(plain: Look, org: str, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, org)
    watch = Watch()
    with fault_proxy(plain.host) as proxy:
        outcomes = send(bundle, proxy.host, dry_run=True, watch=watch)
        assert not proxy.sent("PUT", "PATCH", "POST")
        assert {each.state for each in outcomes} == {State.WOULD}
        assert watch.begun[proxy.host] > 200_000
        send(bundle, proxy.host)
        assert {each.state for each in send(bundle, proxy.host, dry_run=True)} == {State.THERE}


def test_tls_and_a_password(locked: Look, tls: Tls, org: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = make_bundle(tmp_path, org)
    known = Registry(host=locked.host, ca=tls.ca)
    (nobody, *_) = send(bundle, known)
    assert nobody.state is State.FAILED
    assert "docker login" in nobody.why
    monkeypatch.setenv("DOCKER_CONFIG", str(docker_config(tmp_path / "bad", **{locked.host: basic(USER, "wrong")})))
    (wrong, *_) = send(bundle, known)
    assert (wrong.state, "wrong" in wrong.why) == (State.FAILED, False)
    assert "access denied" in wrong.why
    monkeypatch.setenv("DOCKER_CONFIG", str(docker_config(tmp_path / "good", **{locked.host: basic(USER, PASSWORD)})))
    assert all(each.state is State.SENT for each in send(bundle, known))
    locked.complete(f"{org}/os-kernel", f"{VERSION}-{org}")


def test_a_certificate_that_is_not_trusted(locked: Look, org: str, tmp_path: Path) -> None:
    """Not even on loopback is there a way around it."""
    (outcome, *_) = send(make_bundle(tmp_path, org), locked.host)
    assert outcome.state is State.FAILED
    assert "certificate" in outcome.why


def test_a_ca_that_docker_has(
    locked: Look, tls: Tls, org: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certs = tmp_path / "certs.d" / locked.host / "ca.crt"
    certs.parent.mkdir(parents=True)
    certs.write_bytes(tls.ca.read_bytes())
    monkeypatch.setattr(spots, "DOCKER_CERTS", tmp_path / "certs.d")
    monkeypatch.setenv("DOCKER_CONFIG", str(docker_config(tmp_path / "login", **{locked.host: basic(USER, PASSWORD)})))
    assert all(each.good for each in send(make_bundle(tmp_path / "release", org), locked.host))


def test_a_ca_that_is_none(org: str, tmp_path: Path) -> None:
    from builder.errors import InputError  # noqa: PLC0415

    (tmp_path / "ca.pem").write_text("no certificate\n")
    with pytest.raises(InputError, match="no certificate"):
        send(make_bundle(tmp_path / "one", org), Registry(host="localhost:1", ca=tmp_path / "ca.pem"))


def test_plain_http_only_where_it_is_said(
    plain: Look, org: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is not loopback's is asked by TLS only; it leads to this machine all the same."""
    from builder.publish import registry  # noqa: PLC0415

    monkeypatch.setattr(registry, "is_loopback", lambda host: False)
    bundle = make_bundle(tmp_path, org)
    (outcome, *_) = send(bundle, plain.host)
    assert outcome.state is State.FAILED
    assert "plain_http" in outcome.why
    assert not plain.tags(f"{org}/os-kernel")
    assert all(each.good for each in send(bundle, Registry(host=plain.host, plain_http=True)))


def test_referrers_where_the_registry_has_no_api_for_them(plain: Look, org: str, tmp_path: Path) -> None:
    """Debian's registry has none: the tag sha256-… is an index of them, and keeps what was in it."""
    bundle = make_bundle(tmp_path, org)
    for name, kind in (
        ("sbom.spdx.json", "application/spdx+json"),
        ("build.intoto.json", "application/vnd.in-toto+json"),
    ):
        (tmp_path / name).write_text(json.dumps({"name": name}))
        bundle.attach([Attachment(artifact_type=kind, file=tmp_path / name)], bundle.parts)
        assert all(each.good for each in send(bundle, plain.host))
    for part in bundle.parts:
        _, index = plain.manifest(part.repository, part.target.digest.replace(":", "-"))
        kinds = [each["artifactType"] for each in index["manifests"]]
        assert kinds == ["application/spdx+json", "application/vnd.in-toto+json"]
        for each in index["manifests"]:
            _, manifest = plain.manifest(part.repository, each["digest"])
            assert manifest["subject"]["digest"] == part.target.digest
            plain.complete(part.repository, each["digest"])
    with fault_proxy(plain.host) as proxy:
        send(bundle, proxy.host)
        assert not proxy.sent("PUT", "PATCH", "POST")


def test_a_release_to_five_mirrors_at_once(tls: Tls, org: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import ExitStack  # noqa: PLC0415

    bundle = make_bundle(tmp_path / "release", org, ("x86", "arm64"), size=2 << 20)
    v = f"{VERSION}-{org}"
    with ExitStack() as stack:
        hosts = []
        for number in range(5):
            htpasswd = registries.HTPASSWD if number == 4 else ""
            secure = tls if number > 2 else None
            served = registries.serve(tmp_path / f"mirror{number}", tls=secure, htpasswd=htpasswd)
            host = stack.enter_context(served)
            hosts.append(Look(host, secure, (USER, PASSWORD) if htpasswd else None))
        login = docker_config(tmp_path / "login", **{hosts[4].host: basic(USER, PASSWORD)})
        monkeypatch.setenv("DOCKER_CONFIG", str(login))
        where = [Registry(host=look.host, ca=look.tls.ca if look.tls else None) for look in hosts]
        outcomes = send(bundle, *where)
        assert len(outcomes) == 5 * 8
        assert {each.state for each in outcomes} == {State.SENT}
        for name in (*NAMES, RELEASE_NAME):
            assert len({look.manifest(f"{org}/{name}", v)[0] for look in hosts}) == 1
            for look in hosts:
                look.complete(f"{org}/{name}", v)


def test_a_mirror_that_is_not_there_does_not_stop_the_others(plain: Look, org: str, tmp_path: Path) -> None:
    outcomes = send(make_bundle(tmp_path, org), "localhost:1", plain.host)
    assert [each.state for each in outcomes] == [State.FAILED] * 4 + [State.SENT] * 4
    assert "no connection" in outcomes[0].why


def test_a_file_that_changes_meanwhile_is_not_published(plain: Look, org: str, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, org)
    (config,) = tmp_path.glob("x86/kernel/config")
    config.write_text(config.read_text().replace("MODULES", "MODULE5"))
    outcomes = send(bundle, plain.host)
    assert {each.state for each in outcomes} == {State.FAILED}
    for name in (*NAMES, RELEASE_NAME):
        assert not plain.tags(f"{org}/{name}")


def test_the_client_reads_what_a_registry_lacks(plain: Look, org: str) -> None:
    from builder.publish.http import Http  # noqa: PLC0415

    client = RegistryClient(Registry(host=plain.host), Http())
    client.open()
    assert client.tagged(f"{org}/nothing", "here") is None
