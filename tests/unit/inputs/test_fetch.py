from __future__ import annotations

import hashlib
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from builder.errors import FetchError, InputError, NoSpaceError
from builder.inputs.fetch import Patience, default_cache, fetch

from .conftest import Reply, Server

DATA = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(DATA).hexdigest()
HTML = b"<!DOCTYPE html>\n<html><body>Please log in</body></html>"


@pytest.fixture
def get(server: Server, tmp_path: Path, patience: Patience) -> Any:
    """`fetch` of DATA from paths of the server."""

    def call(*paths: str, **further: Any) -> Path:
        arguments = {"sha256": SHA256, "cache": tmp_path, "name": "linux.tar.xz", "patience": patience, **further}
        return fetch([path if "://" in path else server.url(path) for path in paths], **arguments)

    return call


def part(cache: Path) -> Path:
    return cache / "sha256" / f"{SHA256}.part"


def closed_port() -> str:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{bound.getsockname()[1]}/a"


def test_the_file_is_alone_in_its_folder_and_comes_from_the_cache_the_second_time(
    get: Any, server: Server, tmp_path: Path
) -> None:
    server.replies["/a"] = [Reply(body=DATA)]
    path = get("/a")
    assert path == tmp_path / "sha256" / SHA256 / "linux.tar.xz"
    assert path.read_bytes() == DATA
    assert list(path.parent.iterdir()) == [path]
    assert not part(tmp_path).exists()
    assert get("/a") == path
    assert len(server.requests) == 1


def test_a_cached_file_needs_no_mirror_and_follows_the_name(get: Any, server: Server) -> None:
    server.replies["/a"] = [Reply(body=DATA)]
    old = get("/a")
    new = get(closed_port(), name="other.tar.xz", sha256=SHA256.upper())
    assert new.name == "other.tar.xz"
    assert new.read_bytes() == DATA
    assert not old.exists()


def test_a_damaged_cached_file_is_fetched_again(get: Any, server: Server) -> None:
    server.replies["/a"] = [Reply(body=DATA)]
    path = get("/a")
    path.write_bytes(b"rotten" + DATA[6:])
    assert get("/a").read_bytes() == DATA
    assert len(server.requests) == 2


def test_a_touched_cached_file_is_hashed_and_kept(get: Any, server: Server) -> None:
    server.replies["/a"] = [Reply(body=DATA)]
    path = get("/a")
    os.utime(path, (1, 1))
    assert get("/a") == path
    assert len(server.requests) == 1


def test_mirrors_are_tried_in_order(get: Any, server: Server, waits: list[float]) -> None:
    server.replies = {"/html": [Reply(body=HTML)], "/wrong": [Reply(body=b"x" * 9)], "/good": [Reply(body=DATA)]}
    path = get("/missing", "/html", closed_port(), "/wrong", "/good")
    assert path.read_bytes() == DATA
    assert [request for request, _ in server.requests] == ["/missing", "/html", "/wrong", "/good"]
    assert waits == []


def test_progress_has_the_bytes_there_and_the_total(get: Any, server: Server) -> None:
    server.replies["/a"] = [Reply(body=DATA, ranges=True, cut=1000), Reply(body=DATA, ranges=True)]
    seen: list[tuple[int, int | None]] = []
    get("/a", on_progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (1000, len(DATA))
    assert seen[-1] == (len(DATA), len(DATA))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_fault_is_tried_again_with_growing_waits(
    get: Any, server: Server, waits: list[float], status: int
) -> None:
    server.replies["/a"] = [Reply(status=status), Reply(status=status), Reply(body=DATA)]
    assert get("/a").read_bytes() == DATA
    assert waits == [1, 2]


def test_retry_after_is_honoured_and_bounded(get: Any, server: Server, waits: list[float]) -> None:
    later = Reply(status=429, headers={"Retry-After": "7"})
    never = Reply(status=503, headers={"Retry-After": "86400"})
    server.replies["/a"] = [later, never, Reply(body=DATA)]
    get("/a")
    assert waits == [7, 60]


def test_a_broken_transfer_goes_on_where_it_stopped(get: Any, server: Server) -> None:
    whole = Reply(body=DATA, ranges=True, headers={"ETag": '"1"'})
    server.replies["/a"] = [Reply(body=DATA, ranges=True, cut=1000, headers={"ETag": '"1"'}), whole]
    assert get("/a").read_bytes() == DATA
    assert server.ranges() == [None, "bytes=1000-"]
    assert server.requests[1][1]["If-Range"] == '"1"'


def test_a_file_that_changed_between_two_pieces_comes_whole(get: Any, server: Server) -> None:
    old = Reply(body=b"o" * len(DATA), ranges=True, cut=1000, headers={"ETag": '"old"'})
    server.replies["/a"] = [old, Reply(body=DATA, ranges=True, headers={"ETag": '"new"'})]
    assert get("/a").read_bytes() == DATA


def test_pieces_of_two_files_are_thrown_away(get: Any, server: Server) -> None:
    """Without an ETag, only the checksum tells that the file changed between the two pieces."""
    old = Reply(body=b"o" * len(DATA), ranges=True, cut=1000)
    server.replies["/a"] = [old, Reply(body=DATA, ranges=True)]
    assert get("/a").read_bytes() == DATA
    assert server.ranges() == [None, "bytes=1000-", None]


def test_a_broken_chunked_transfer_is_no_complete_file(get: Any, server: Server) -> None:
    server.replies["/a"] = [Reply(body=DATA, chunked=True, cut=1000), Reply(body=DATA, chunked=True)]
    assert get("/a").read_bytes() == DATA


def test_a_part_of_an_earlier_run_is_completed_by_another_mirror(get: Any, server: Server, tmp_path: Path) -> None:
    server.replies = {"/a": [Reply(body=DATA, ranges=True, cut=0)], "/b": [Reply(body=DATA, ranges=True)]}
    part(tmp_path).parent.mkdir(parents=True)
    part(tmp_path).write_bytes(DATA[:5000])
    assert get("/a", "/b").read_bytes() == DATA
    assert server.ranges()[-1] == "bytes=5000-"


def test_a_mirror_without_ranges_sends_the_whole_file(get: Any, server: Server, tmp_path: Path) -> None:
    server.replies["/a"] = [Reply(body=DATA)]
    part(tmp_path).parent.mkdir(parents=True)
    part(tmp_path).write_bytes(DATA[:5000])
    assert get("/a").read_bytes() == DATA


@pytest.mark.parametrize("present", [DATA, DATA + b"more", b"x" * len(DATA)], ids=["complete", "longer", "other"])
def test_a_range_beyond_the_end(get: Any, server: Server, tmp_path: Path, present: bytes) -> None:
    server.replies["/a"] = [Reply(body=DATA, ranges=True)]
    part(tmp_path).parent.mkdir(parents=True)
    part(tmp_path).write_bytes(present)
    assert get("/a").read_bytes() == DATA


def test_a_range_that_was_not_asked_for_is_not_used(get: Any, server: Server, tmp_path: Path) -> None:
    server.replies["/a"] = [
        Reply(status=206, body=DATA[7:], headers={"Content-Range": f"bytes 7-{len(DATA) - 1}/{len(DATA)}"}),
        Reply(body=DATA),
    ]
    part(tmp_path).parent.mkdir(parents=True)
    part(tmp_path).write_bytes(DATA[:5000])
    assert get("/a").read_bytes() == DATA


@pytest.mark.parametrize(
    ("reply", "what", "detail"),
    [
        (Reply(status=404), "no mirror has it", "HTTP 404 Not Found"),
        (Reply(status=403), "no mirror gave it", "HTTP 403 Forbidden"),
        (Reply(status=500), "no mirror gave it", "HTTP 500 Internal Server Error (3 attempts)"),
        (Reply(status=429), "no mirror gave it", "HTTP 429 Too Many Requests (3 attempts)"),
        (Reply(body=HTML), "a web page came instead", "(HTML)"),
        (Reply(body=b'\n<?xml version="1.0"?>\n<html xmlns="">'), "a web page came instead", "(HTML)"),
        (Reply(body=DATA[:-1]), "the checksum does not match", f"SHA-256 of the {len(DATA) - 1} bytes is "),
        (Reply(body=DATA, cut=9), "broke each time", f"broke off after 9 bytes of {len(DATA)} (3 attempts)"),
        (Reply(body=DATA, cut=9, chunked=True), "broke each time", "after 9 bytes (3 attempts)"),
        (
            Reply(body=DATA, headers={"Content-Length": str(len(DATA) + 5)}),
            "broke each time",
            f"after {len(DATA)} bytes of {len(DATA) + 5} (3 attempts)",
        ),
        (Reply(status=301, headers={"Location": "/a"}), "no mirror gave it", "redirects"),
    ],
    ids=["404", "403", "500", "429", "html", "xhtml", "checksum", "truncated", "chunked", "length", "redirects"],
)
def test_what_happened_is_told_per_mirror(get: Any, server: Server, reply: Reply, what: str, detail: str) -> None:
    server.replies = {"/a": [reply], "/b": [reply]}
    with pytest.raises(FetchError) as caught:
        get("/a", "/b")
    assert str(caught.value).startswith("could not fetch linux.tar.xz: ")
    assert what in str(caught.value)
    assert caught.value.hint
    for path, line in zip(("/a", "/b"), caught.value.details, strict=True):
        assert line.startswith(f"{server.url(path)}: ")
        assert detail in line


def test_a_checksum_that_does_not_match_leaves_nothing_behind(get: Any, server: Server, tmp_path: Path) -> None:
    server.replies["/a"] = [Reply(body=b"something else")]
    with pytest.raises(FetchError):
        get("/a")
    assert not part(tmp_path).exists()
    assert not (tmp_path / "sha256" / SHA256).exists()


def test_a_truncated_download_is_kept_for_the_next_run(get: Any, server: Server, tmp_path: Path) -> None:
    server.replies["/a"] = [Reply(body=DATA, ranges=True, cut=1000)]
    with pytest.raises(FetchError) as caught:
        get("/a")
    assert "run it again" in caught.value.hint
    assert part(tmp_path).stat().st_size == 3000
    assert not (tmp_path / "sha256" / SHA256).exists()


def test_no_network(get: Any, waits: list[float]) -> None:
    with pytest.raises(FetchError) as caught:
        get(closed_port(), closed_port())
    assert "no mirror can be reached" in str(caught.value)
    assert "source debian" in caught.value.hint
    assert all("Connection refused" in line for line in caught.value.details)
    assert waits == []


def test_a_missing_file_beside_a_dead_mirror_is_not_called_missing(get: Any) -> None:
    with pytest.raises(FetchError) as caught:
        get("/404", closed_port())
    assert "no mirror gave it" in str(caught.value)
    assert "network" in caught.value.hint


def test_a_mirror_that_stands_still(get: Any, server: Server, waits: list[float]) -> None:
    server.replies["/a"] = [Reply(stall=True)]
    hasty = Patience(attempts=2, connect_timeout=5, read_timeout=0.05, sleep=waits.append)
    with pytest.raises(FetchError) as caught:
        get("/a", patience=hasty)
    assert "no answer within 0.05 s (2 attempts)" in caught.value.details[0]


def test_a_full_disk(get: Any, server: Server, tmp_path: Path) -> None:
    server.replies["/a"] = [Reply(body=DATA)]
    part(tmp_path).parent.mkdir(parents=True)
    part(tmp_path).symlink_to("/dev/full")
    with pytest.raises(NoSpaceError) as caught:
        get("/a")
    assert caught.value.where == tmp_path
    assert not part(tmp_path).is_symlink()


def test_a_cache_that_cannot_be_used(get: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot use the cache") as caught:
        get("/a", cache=tmp_path / "file")
    assert "ROSK_CACHE" in caught.value.hint


def test_two_at_once_download_once(get: Any, server: Server) -> None:
    server.replies["/a"] = [Reply(body=DATA)]
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(get("/a"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 4
    assert len(set(paths)) == 1
    assert len(server.requests) == 1


def test_default_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ROSK_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_cache() == tmp_path / ".cache" / "rosk"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_cache() == tmp_path / ".cache" / "rosk"
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache")
    assert default_cache() == Path("/var/cache/rosk")
    monkeypatch.setenv("ROSK_CACHE", "/elsewhere")
    assert default_cache() == Path("/elsewhere")
