"""What rosk keeps, on what a real engine printed (recorded/du.txt: buildx 0.13.1), and what shared caches become."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder import caches, graph
from builder.cachefolder import folder_tags
from builder.caches import Piece, choose, find_pieces, forget_named, prune, rows
from builder.cachespec import PATTERN, Caches, folder_tag, has_secret, make_caches, told, with_caches
from builder.cachetransfer import import_dockerfile
from builder.context import dockerfiles
from builder.engine.cacherecords import CACHE_MOUNT, Record, parse_records, parse_size
from builder.errors import InputError
from builder.project import load_project
from builder.sourceparts import KnownSource
from tests.unit.projects import write_project
from tests.unit.test_graph import CONTEXT, RESOLVED

RECORDED = (Path(__file__).parent / "engine/recorded/du.txt").read_text()
DAY = 86400.0
NOW = 1795473063.0  # 2026-11-23 22:31:03 UTC, when the recorded text was printed


def recorded() -> dict[str, Record]:
    return {record.id: record for record in parse_records(RECORDED, now=NOW)}


def as_newer(text: str) -> str:
    """The recorded text in the verbose form of buildx 0.27."""
    text = re.sub(
        r"^Parent:\s+(.*)$", lambda m: "Parents:\n" + "\n".join(f" - {p}" for p in m[1].split(",")), text, flags=re.M
    )
    return re.sub(r"^([A-Z][A-Za-z ]*:)\t+", lambda m: f"{m[1]:14}", text, flags=re.M)


class TestRecords:
    def test_the_text_of_buildx_0_13(self) -> None:
        found = recorded()
        assert len(found) == 91
        source = found["y68xg2ev1rk7b55aynfe6v48d"]
        assert source.parents == ("uveaicc2ckk1eiz7s24bq0a1o",)
        assert source.description.startswith("mount / from exec /bin/sh -c python3 -m builder.stages.source debian ")
        assert (source.type, source.size, source.idle, source.in_use) == ("regular", 1_814_000_000, 13 * 60.0, True)
        tree = next(each for each in found.values() if each.description.endswith('"/rosk-obj-x86-6.12.117-rosk"'))
        assert (tree.type, tree.in_use) == (CACHE_MOUNT, True)
        assert 600 < tree.idle < 900, "never used: since it was made"

    def test_the_text_of_newer_ones(self) -> None:
        assert parse_records(as_newer(RECORDED), now=NOW) == list(recorded().values())

    def test_json(self) -> None:
        line = {
            "CreatedAt": "2026-11-20 21:56:30.136735373 +0000 UTC",
            "Description": "pulled from docker.io/library/debian",
            "ID": "ic1gfidvev5nciupzz53alel4",
            "LastUsedAt": "2 weeks ago",
            "Mutable": False,
            "Parents": ["hmpdhm4sjrfpmae4xm2y3m0ra"],
            "Reclaimable": True,
            "Shared": False,
            "Size": "829889526",
            "Type": "regular",
            "UsageCount": 1,
        }
        timed = {**line, "LastUsedAt": "2026-11-23T22:31:00Z", "Parents": None, "Size": "1.5kB"}
        one, two = parse_records(f"{json.dumps(line)}\n{json.dumps(timed)}\n", now=NOW)
        assert (one.parents, one.size, one.idle) == (("hmpdhm4sjrfpmae4xm2y3m0ra",), 829889526, 14 * DAY)
        assert (two.parents, two.size, two.idle) == ((), 1500, 3.0)

    def test_a_step_of_several_lines(self) -> None:
        text = "ID:\t\tabc\nDescription:\tmount / from exec /bin/sh -c <<E\nSize:\t\t9GB\nE\nUsage count:\t1\n\n"
        (record,) = parse_records(text, now=NOW)
        assert record.description.splitlines()[1] == "Size:\t\t9GB"
        assert record.size == 0

    @pytest.mark.parametrize(
        ("text", "size"), [("0B", 0), ("4.096kB", 4096), ("1.814GB*", 1_814_000_000), ("12", 12), ("", 0), ("?", 0)]
    )
    def test_sizes(self, text: str, size: int) -> None:
        assert parse_size(text) == size

    @given(st.text(max_size=200))
    def test_any_text(self, text: str) -> None:
        if not text.lstrip().startswith("{"):
            parse_records(text, now=NOW)


class TestOwner:
    def test_only_what_rosk_made(self) -> None:
        mine = {piece.record.id for piece in find_pieces(list(recorded().values())) if piece.record}
        others = [record.description for id, record in recorded().items() if id not in mine]
        assert {re.sub(r"[0-9]", "", re.sub(r"-c .*", "", text)) for text in others} == {
            "",  # the base image
            "[release /] COPY --from=one /a /b /x/",
            "cached mount /c from exec /bin/sh ",
            "local source for context",
            "local source for source",
            "mount / from exec /bin/sh ",
        }
        assert all(re.search("foreign|ccache gcc libc6-dev", text) for text in others if "exec /bin/sh" in text)

    def test_one_that_looks_alike_is_anothers(self) -> None:
        alike = [
            "mount / from exec /bin/sh -c python3 -m builder.stages.compile --all",
            "[release 1/2] COPY --from=compile /out /",
            "[compile 2/3] COPY . /",
            "[inputs 1/1] COPY . /",
            "imported sha256:" + "0" * 64,
            "local source for source",
            'cached mount /c from exec /bin/sh -c echo rosk-ccache with id "/my-rosk-ccache"',
        ]
        records = [
            Record(
                id=f"r{number}",
                parents=("base",),
                description=text,
                type=CACHE_MOUNT if "mount /c" in text else "regular",
            )
            for number, text in enumerate(alike)
        ]
        assert find_pieces(records) == []

    def test_what_commands_beside_a_build_make(self) -> None:
        """Each has a Dockerfile of its own; an external module's stage is in none."""
        records = [
            Record(
                id="tools",
                description="[tools 3/3] COPY --from=rosk-programs stages/oldpython.py /rosk/sitecustomize.py",
            ),
            Record(
                id="lists",
                parents=("tools",),
                description="[foreseen 1/2] COPY --from=rosk-programs stages/foresee.py /rosk/builder/stages/",
            ),
            Record(
                id="module",
                parents=("tools",),
                description="[release module-own 2/6] COPY --from=rosk-inputs modules/own.json /in/module.json",
            ),
        ]
        found = {piece.record.id: piece for piece in find_pieces(records) if piece.record}
        assert found.keys() == {"tools", "lists", "module"}
        assert not [piece for piece in found.values() if piece.stays]

    def test_what_is_sent_to_the_engine(self, tmp_path: Path) -> None:
        context = replace(CONTEXT, source=Path("/staged"), firmware=Path("/firmware"))
        project = load_project(write_project(tmp_path), arch="x86")
        package, known = Path("/package.tar"), KnownSource(name="", package=Path("/src.tgz"), parts=())
        told = known.tell(tmp_path / "known")
        plan = graph.build_plan(project, context, RESOLVED, output=Path("/out"), source=package, known=told)
        names = {name for target in plan["target"].values() for name, at in target["contexts"].items() if at[0] == "/"}
        assert len(names) == 3
        records = [Record(id=name, description=f"local source for {name}", type="source.local") for name in names]
        assert {piece.what for piece in find_pieces(records)} == {"sources sent to the engine"}
        assert len(find_pieces(records)) == len(names)

    def test_what_somebody_builds_on_an_image_is_theirs(self) -> None:
        """Also where their stage has the name of one of rosk's."""
        records = [
            Record(id="mine", description="[os-kernel 3/3] COPY --from=kernel-package /packed/gzip1-1795194416 /"),
            Record(id="theirs", parents=("mine",), description="[release 2/3] COPY app /opt/app"),
        ]
        (found,) = find_pieces(records)
        assert found.record and (found.record.id, found.stays) == ("mine", "another's build lies on it")

    def test_what_another_build_lies_on_stays(self) -> None:
        records = [
            Record(id="mine", description="[os-extras 1/1] COPY --from=os-extras-root /image/gzip1-17 /", idle=9 * DAY),
            Record(id="theirs", parents=("mine",), description="mount / from exec /bin/sh -c true", idle=DAY),
        ]
        (piece,) = find_pieces(records)
        assert (piece.stays, piece.idle) == ("another's build lies on it", DAY)

    def test_words(self) -> None:
        found = {row.what: row for row in rows(find_pieces(list(recorded().values())))}
        tree = found["object tree of 6.12.117-rosk (x86)"]
        assert tree.in_use
        assert tree.cost == "the next build of 6.12.117-rosk compiles all again, with what the compiler cache has"
        assert {"kernel source layers", "compiled stages", "compiler cache", "packed chunks", "Debian packages"} <= set(
            found
        )
        assert found["kernel source layers"].size > 1_800_000_000


def piece(what: str, size: int, idle: float, *, depth: int = 0, stays: str = "") -> Piece:
    record = Record(id=f"{what}-{size}-{idle}", size=size, idle=idle)
    return Piece(what=what, cost="", size=size, idle=idle, depth=depth, record=record, stays=stays)


class Store:
    """An engine that refuses some."""

    def __init__(self, *refused: str, has: Sequence[Record] = ()) -> None:
        self.refused = refused
        self.has = has
        self.asked: list[str] = []

    def records(self) -> list[Record]:
        return list(self.has)

    def prune(self, ids: Sequence[str]) -> list[Record]:
        self.asked += ids
        return [Record(id=id) for id in ids if id not in self.refused]


class TestPrune:
    PIECES = (
        piece("old", 10, 20 * DAY),
        piece("new", 20, DAY),
        piece("used", 40, 0, stays="in use by a build"),
        piece("middle", 5, 5 * DAY, depth=1),
        piece("below", 5, 5 * DAY),
    )

    @pytest.mark.parametrize(
        ("age", "keep", "everything", "gone"),
        [
            (14 * DAY, None, False, ["old"]),
            (5 * DAY, None, False, ["old", "middle", "below"]),
            (None, 80, False, []),
            (None, 79, False, ["old"]),
            (None, 66, False, ["old", "middle"]),
            (14 * DAY, 66, False, ["old", "middle"]),
            (None, 1, False, ["old", "middle", "below", "new"]),
            (None, None, True, ["old", "middle", "below", "new"]),
        ],
    )
    def test_what_goes(self, age: float | None, keep: int | None, everything: bool, gone: list[str]) -> None:
        assert [each.what for each in choose(self.PIECES, older_than=age, keep=keep, all=everything)] == gone

    def test_what_is_said(self) -> None:
        chosen = choose(self.PIECES, older_than=None, keep=None, all=True)
        store = Store(chosen[-1].record.id if chosen[-1].record else "")
        pruned = prune(store, self.PIECES, chosen)
        assert (pruned.freed, pruned.left) == (20, 60)
        assert pruned.stayed == ("new: some stays, it came into use", "used: some stays, in use by a build")

    def test_a_dry_run_removes_nothing(self) -> None:
        store = Store()
        chosen = choose(self.PIECES, older_than=None, keep=None, all=True)
        assert prune(store, self.PIECES, chosen, dry_run=True).freed == 40
        assert store.asked == []

    def test_what_is_damaged(self) -> None:
        """What BuildKit names goes, if it is a step of rosk's."""
        records = recorded()
        step, mount, other = (
            next(id for id, record in records.items() if record.description.startswith(words))
            for words in (
                "mount / from exec /bin/sh -c python3 -m builder.stages.compile",
                "cached mount /ccache",
                "mount / from exec /bin/sh -c echo foreign",
            )
        )
        store = Store(has=tuple(records.values()))
        gone = forget_named(store, f"failed to stat {step}: snapshot {step} does not exist, {mount}, {other}")
        assert store.asked == [record.id for record in gone] == [step]
        assert forget_named(store, f"failed to mount /var/x: {other}") == []
        assert store.asked == [step]

    def test_what_lies_on_it_goes_too(self) -> None:
        """The engine leaves a record that others lie on."""
        records = recorded()
        patched = next(record for record in records.values() if "builder.stages.patch --tree" in record.description)
        store = Store(has=tuple(records.values()))
        forget_named(store, f"snapshot {patched.id} does not exist")
        above = {record.id for record in records.values() if patched.id in record.parents}
        assert above and {patched.id} | above <= set(store.asked)

    def test_the_highest_goes_first(self) -> None:
        """An engine is asked for so many at a time, and leaves one whose children it is not asked for with it."""
        ids = [f"{number:025}" for number in range(300)]
        program = "mount / from exec /bin/sh -c python3 -m builder.stages.split --modules /in"
        first = Record(id=ids[0], description="[split 1/6] COPY --from=rosk-programs stages/common.py /rosk/")
        above = [Record(id=id, parents=(below,), description=program) for below, id in pairwise(ids)]
        tools = "[tools 3/3] COPY --from=rosk-programs stages/oldpython.py /rosk/sitecustomize.py"
        store = Store(has=(Record(id="tools", description=tools), replace(first, parents=("tools",)), *above))
        forget_named(store, f"snapshot {ids[0]} does not exist")
        assert store.asked == ids[::-1]

    @pytest.mark.parametrize(
        ("text", "seconds"), [("14d", 14 * DAY), ("36h", 1.5 * DAY), ("2w", 14 * DAY), ("90m", 5400)]
    )
    def test_ages(self, text: str, seconds: float) -> None:
        assert caches.parse_age(text) == seconds

    @pytest.mark.parametrize(("text", "size"), [("20GB", 20 * 10**9), ("500MB", 5 * 10**8), ("1.5T", 15 * 10**11)])
    def test_bytes(self, text: str, size: int) -> None:
        assert caches.parse_bytes(text) == size

    @pytest.mark.parametrize("text", ["", "14", "d", "-1d", "1y", "9" * 400])
    def test_no_age(self, text: str) -> None:
        with pytest.raises(InputError):
            caches.parse_age(text)
        with pytest.raises(InputError):
            caches.parse_bytes(f"{text} parsecs")


class TestShared:
    @pytest.mark.parametrize(
        "entry",
        ["registry.example/acme/cache:6.12", "localhost:5000/c", "/srv/cache", "./c", "../c d", "type=gha,scope=a"],
    )
    def test_entries(self, entry: str) -> None:
        assert re.fullmatch(PATTERN, entry)

    @pytest.mark.parametrize(
        "entry", ["", "cache", "acme/cache", "https://r.example/c", "u:p@r.example/c", "R.example/C", "type"]
    )
    def test_no_entries(self, entry: str) -> None:
        assert not re.fullmatch(PATTERN, entry)

    def test_secrets(self) -> None:
        assert has_secret("type=s3,bucket=a,secret_access_key=b")
        assert has_secret("type=gha,token=b")
        assert not has_secret("type=s3,bucket=secret")
        assert not has_secret("registry.example/secret/token")

    def test_buildkits_form(self, tmp_path: Path) -> None:
        (tmp_path / "c, d").mkdir()
        (tmp_path / "c, d/index.json").write_text(
            json.dumps({"manifests": [{"annotations": {"org.opencontainers.image.ref.name": tag}} for tag in "abcde"]})
        )
        made = make_caches(
            ("r.example/c:1", "./c, d", "type=local,src=x", "r.example/c:1"),
            ("r.example/c:1", "./new", "type=s3,bucket=b,mode=min"),
            root=tmp_path,
            tag="b",
            warn=pytest.fail,
        )
        assert made.sources == (
            "type=registry,ref=r.example/c:1",
            *(f'type=local,"src={tmp_path}/c, d",tag={tag}' for tag in "bedc"),
            f"type=local,src={tmp_path}/x",
        )
        form = "mode=max,ignore-error=true,oci-mediatypes=true,image-manifest=true,compression=zstd"
        assert made.targets == (
            f"type=registry,ref=r.example/c:1,{form}",
            f"type=local,dest={tmp_path}/new,tag=b,{form}",
            "type=s3,bucket=b,mode=min,ignore-error=true",
        )

    def test_one_that_must_be_written(self, tmp_path: Path) -> None:
        made = make_caches((), ("r.example/c",), root=tmp_path, tag="b", warn=pytest.fail, strict=True)
        assert "ignore-error" not in made.targets[0]

    def test_folders_that_do_not_work(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        said: list[str] = []
        assert make_caches(("./none",), ("./file/c",), root=tmp_path, tag="b", warn=said.append) == Caches()
        assert said == [
            f"there is no cache in {tmp_path}/none: nothing is taken from it",
            f"no cache is written to {tmp_path}/file/c: Not a directory",
        ]

    def test_tags(self, tmp_path: Path) -> None:
        assert folder_tag("acme", "x86", "linux-source-6.12") == "acme-x86-linux-source-6.12"
        assert folder_tag("acme", "x86", "my tree ü") == "acme-x86-my-tree"
        assert folder_tags(tmp_path) == []
        (tmp_path / "index.json").write_text("[]")
        assert folder_tags(tmp_path) == []

    def test_a_plan(self) -> None:
        plan = {"group": {}, "target": {"release": {"target": "release"}, "os-kernel": {"target": "os-kernel"}}}
        made = with_caches(plan, Caches(sources=("a",), targets=("b",)))
        assert made["target"]["release"] == {"target": "release", "cache-from": ["a"], "cache-to": ["b"]}
        assert made["target"]["os-kernel"] == {"target": "os-kernel", "cache-from": ["a"]}
        assert with_caches(plan, Caches()) == plan

    def test_what_is_told(self) -> None:
        assert told(
            ["[a] importing cache manifest from x:1/c: refused", "[b] importing cache manifest from x:1/c: refused"]
        ) == ["nothing was taken from the cache x:1/c: refused"]
        assert told(["something else"]) == ["something else"]

    @pytest.mark.parametrize(("kind", "fetched"), [("folder", False), ("debian", True)])
    def test_an_import_reads_what_others_copy(self, kind: str, fetched: bool) -> None:
        args = {"SOURCE_KIND": "tree", "FIRMWARE_KIND": kind, "BASE": "base", "SOURCE_SHARED": "whole-source"}
        text = (dockerfiles() / "kernel.Dockerfile").read_text()
        added = import_dockerfile(text, args).rpartition("FROM tools AS ")[2]
        read = set(re.findall(r"from=([a-z-]+),", added))
        assert read >= {"compile", "split", "kernel-firmware", "kernel-package", "configured", "headers-package"}
        assert "shared-source" in read
        assert ("firmware-fetched" in read) == fetched, "a stage that takes no part would be run"
        assert not {name for name in read if name.endswith(("-root", "-read"))}
