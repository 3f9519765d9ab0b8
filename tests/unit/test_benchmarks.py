"""The parts of the benchmark that compute: medians, ratios, bars, the page. What it measures is asserted nowhere."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmarks.__main__ import HERE, Output, parse
from benchmarks.engine import parse_records
from benchmarks.kit import KITS, Kit, LineEdit, different_options, new_file_patch
from benchmarks.machine import idle_warning
from benchmarks.packing import divide_modules
from benchmarks.plain import kernel_environment
from benchmarks.plot import axis_end, plot
from benchmarks.project import RoskProject
from benchmarks.render import page
from benchmarks.results import Results, Sample, load, save
from benchmarks.rows import ROWS, Row, find_rows
from benchmarks.session import Session
from benchmarks.verdict import Verdict, judge, middle
from benchmarks.workspace import State, Workspace, earlier_workspace, new_workspace
from builder.project import load_project
from builder.stagenames import STAGES
from builder.stages.patchfile import parse_patch


def row(name: str) -> Row:
    (found,) = find_rows(name)
    return found


def results(**samples: dict[str, list[Any]]) -> Results:
    """Results of rows by name; a sample is its seconds, or the whole of it."""
    found = Results(kind="full", date="2026-01-02 03:04 UTC", machine={"CPU": "a | b"}, versions={"rosk": "abc"})
    for name, sides in samples.items():
        for side, values in sides.items():
            for value in values:
                found.add(name, side, value if isinstance(value, dict) else {"seconds": value})
    return found


def verdict(name: str, **samples: dict[str, list[Any]]) -> Verdict:
    return judge(row(name), results(**samples))


EXAMPLE: dict[str, dict[str, list[Any]]] = {
    "nothing": {
        "rosk": [{"seconds": 102.0, "ran": ["compile"], "compiled": {"objects": 7, "compiler_cache": {"calls": 9}}}],
        "plain": [100.0],
        "tuxmake": [99.0],
    },
    "noop": {"rosk": [{"seconds": 2.0, "ran": [], "compiled": {}}], "plain": [10.0], "tuxmake": [20.0]},
    "list": {"rosk": [{"seconds": 5.5, "ran": ["split"], "compiled": {}}], "plain": [10.0], "packing": [1.0]},
    "objects": {"rosk": [{"seconds": 14.0, "ran": ["compile"], "compiled": {}}]},
    "script": {"rosk": [{"seconds": 1.0, "ran": ["os-extras"], "compiled": {}}]},
    "packing": {
        "rosk": [{"seconds": 9.0, "sizes": {"kernel": 10, "extras": 5}}],
        "os-kernel": [{"seconds": 60.0, "sizes": {"kernel": 11, "extras": 5}}],
    },
}


def test_the_median_counts() -> None:
    assert middle([{"seconds": 9}, {"seconds": 1}, {"seconds": 2}]) == 2
    assert middle([]) is None


@pytest.mark.parametrize(("seconds", "met"), [(3.0, True), (3.1, False)])
def test_a_ratio_is_compared_with_its_bar(seconds: float, met: bool) -> None:
    found = verdict("noop", noop={"rosk": [seconds], "plain": [10.0], "tuxmake": [6.0]})
    assert found.ratio == pytest.approx(seconds / 10)
    assert found.against_tuxmake == pytest.approx(seconds / 6)
    assert found.limit == 0.3
    assert found.met is met


def test_each_repetition_has_a_ratio_of_its_own() -> None:
    """The machine was three times slower in the last one, for both."""
    pairs = {"rosk": [10.0, 14.0, 36.0], "plain": [10.0, 10.0, 30.0]}
    found = verdict("module", module=pairs)
    assert found.ratio == pytest.approx(1.2)
    assert found.spread == pytest.approx((1.0, 1.4))
    assert "1.20 (1.00\N{EN DASH}1.40)" in page(results(module=pairs))
    around = verdict("nothing", nothing={"rosk": [120.0], "plain": [100.0, 140.0]})
    assert around.ratio == pytest.approx(1.0)
    assert around.spread is None


def test_a_ratio_that_rounds_to_its_bar_has_the_digits_that_tell_them_apart() -> None:
    for seconds, said in ((105.25, "| 1.0525 | ≤ 1.05"), (105.0, "| 1.05 | ≤ 1.05"), (106.0, "| 1.06 | ≤ 1.05")):
        assert said in page(results(nothing={"rosk": [seconds], "plain": [100.0]}))


def test_the_options_in_which_two_configs_differ() -> None:
    one = '# Linux/x86 6.12\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_CC_VERSION_TEXT="gcc"\n'
    assert different_options(one, one.replace("6.12", "6.13")) == ""
    other = one.replace('"gcc"', '"x86_64-linux-gnu-gcc"').replace("# CONFIG_B is not set", "CONFIG_B=m")
    assert different_options(one, other) == "CONFIG_B, CONFIG_CC_VERSION_TEXT"
    many = "".join(f"CONFIG_{letter}=m\n" for letter in "CDEFGHI")
    assert different_options(one, one + many).endswith("CONFIG_G and 2 more")


def test_without_the_reference_nothing_is_said() -> None:
    found = verdict("noop", noop={"rosk": [1.0]})
    assert (found.ratio, found.limit, found.met) == (None, None, None)
    assert verdict("noop").met is None


def test_a_row_can_be_compared_with_another_row() -> None:
    found = verdict("objects", objects={"rosk": [14.0]}, nothing={"plain": [100.0]})
    assert found.ratio == pytest.approx(0.14)
    assert found.met is True


def test_packing_is_added_to_what_is_allowed() -> None:
    list_row = {"rosk": [6.4], "plain": [10.0], "packing": [1.5]}
    assert verdict("list", list=list_row).limit == pytest.approx(0.65)
    assert verdict("list", list=list_row).met is True
    assert verdict("list", list={**list_row, "packing": [1.0]}).met is False


def test_the_reference_of_the_same_repetitions_goes_first() -> None:
    found = verdict("list", list={"rosk": [1.0], "plain": [10.0]}, noop={"plain": [99.0]})
    assert found.reference == 10.0
    assert verdict("list", list={"rosk": [1.0]}, noop={"plain": [99.0]}).reference == 99.0


def test_a_stage_that_may_not_run_fails_a_row() -> None:
    samples = [{"seconds": 0.1, "ran": ["split"]}, {"seconds": 0.1, "ran": ["compile", "split"]}]
    found = verdict("list", list={"rosk": samples, "plain": [10.0]})
    assert found.broken == ("compile ran",)
    assert found.met is False


def test_only_some_stages_may_run() -> None:
    assert verdict("script", script={"rosk": [{"seconds": 1, "ran": ["os-extras", "os-kernel"]}]}).met is True
    found = verdict("script", script={"rosk": [{"seconds": 1, "ran": ["os-extras", "split"]}]})
    assert found.broken == ("split ran",)


def test_faster_is_not_enough_when_files_are_larger() -> None:
    theirs = [{"seconds": 60.0, "sizes": {"kernel": 10, "extras": 5}}]
    ours = {"seconds": 10.0, "sizes": {"kernel": 10, "extras": 4}}
    assert verdict("packing", packing={"rosk": [ours], "os-kernel": theirs}).met is True
    larger = {"seconds": 10.0, "sizes": {"kernel": 11, "extras": 1}}
    assert verdict("packing", packing={"rosk": [larger], "os-kernel": theirs}).broken == ("kernel is larger",)


def test_the_bars_name_real_stages() -> None:
    for found in ROWS:
        assert found.bar.never | (found.bar.only or set()) <= set(STAGES)


def test_rows_are_found_by_name() -> None:
    assert [found.name for found in find_rows("module, noop")] == ["noop", "module"]
    assert find_rows(None) == ROWS
    with pytest.raises(ValueError, match="no row nope"):
        find_rows("noop,nope")


def test_results_come_back_as_they_were(tmp_path: Path) -> None:
    before = results(**EXAMPLE)
    before.note("noop", "said")
    before.note("noop", "said")
    before.missing["registry"] = "no registry"
    save(before, tmp_path / "out/results.json")
    assert load(tmp_path / "out/results.json") == before
    assert before.notes == {"noop": ["said"]}
    assert before.repeated(row("noop")) == 1
    (tmp_path / "other.json").write_text('{"format": 0}')
    with pytest.raises(ValueError, match="no results"):
        load(tmp_path / "other.json")


def test_a_measured_row_is_no_longer_missing() -> None:
    found = results()
    found.missing["noop"] = "was not there"
    found.add("noop", "rosk", {"seconds": 1.0})
    assert not found.missing


def test_the_page_has_each_row_with_its_ratio() -> None:
    found = results(**EXAMPLE)
    found.missing["registry"] = "this rosk has no --cache-from\nmore"
    text = page(found)
    table = text.partition("## What ran")[0].splitlines()
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in table if line.startswith("| ")}
    assert "| 100 | 99.0 | 102 (1) | 1.02 | ≤ 1.05 \N{MULTIPLICATION SIGN} plain | yes | 1.03 |" in text
    assert "| 0.20 |" in lines["nothing changed"]
    assert "(0.60, packing 1.0 s) | yes" in lines["a line moved between the lists"]
    assert "100 (from nothing)" in lines["object tree lost, compiler cache kept"]
    assert "60.0 (os-kernel)" in lines["splitting and packing a full distribution kernel"]
    assert "not measured: this rosk has no --cache-from |" in text
    assert "a &#124; b" in text
    assert "calls 9" in text
    assert "only a try" not in text


def test_a_quick_run_says_what_it_is() -> None:
    for kind in ("quick", "fake"):
        found = results(**EXAMPLE)
        found.kind = kind
        assert page(found).splitlines()[4].startswith("**")


def test_the_plot_is_an_svg_for_light_and_dark() -> None:
    text = plot(results(**EXAMPLE))
    root = ET.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "prefers-color-scheme: dark" in text
    texts = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "from nothing" in texts
    assert "1.02" in texts
    assert "an image's script changed" not in texts, "it has no ratio"
    assert plot(results())


def test_what_is_off_the_axis_is_an_arrow_with_its_number() -> None:
    text = plot(results(**EXAMPLE))
    assert text.count('<path class="tux"') == 1 and ">2.0<" in text
    assert text.count('<circle class="tux"') == 2, "in the legend, and from nothing"


@pytest.mark.parametrize(("values", "end"), [([], 1.5), ([0.2, 1.0], 1.5), ([1.6], 2.0), ([90.0], 4.0)])
def test_the_axis_ends_past_everything(values: list[float], end: float) -> None:
    assert axis_end(values) == end


def test_the_published_page_is_what_the_results_render_to(tmp_path: Path) -> None:
    numbers = HERE / "results.json"
    names = ("RESULTS.md", "results.svg")
    assert [(HERE / name).exists() for name in names] == [numbers.exists()] * 2
    if numbers.exists():
        Output(folder=tmp_path).render(load(numbers))
        for name in names:
            assert (tmp_path / name).read_text() == (HERE / name).read_text(), "benchmarks/run --render"


def test_records_of_the_build_cache() -> None:
    text = (
        "ID:\t\tabc\nCreated at:\t2026\nReclaimable:\ttrue\nSize:\t\t0B\n"
        'Description:\tcached mount /obj from exec /bin/sh -c make "${X}" with id "/rosk-obj-x86-6.12-a-w1-0"\n'
        "Type:\t\texec.cachemount\n\n"
        "ID:\t\tdef\nParent:\t\tabc\nReclaimable:\tfalse\nDescription:\tmount / from exec /bin/sh -c true\n\n"
        "Reclaimable:\t3GB\nTotal:\t\t5GB\n"
    )
    first, second = parse_records(text)
    assert (first.id, first.mount, first.reclaimable) == ("abc", "rosk-obj-x86-6.12-a-w1-0", True)
    assert (second.id, second.mount, second.reclaimable) == ("def", "", False)


def test_a_line_edit_is_the_patch_and_the_file() -> None:
    edit = LineEdit(path="init/main.c", original="".join(f"line {number}\n" for number in range(9)))
    (part,) = parse_patch(edit.patch("v1").encode(), "a.patch")
    assert part.path == "init/main.c"
    assert edit.text("v1").endswith('= "v1";\n')
    assert edit.text("v1").replace("v1", "v2") == edit.text("v2")
    added = [line[1:] for line in edit.patch("v1").splitlines() if line.startswith("+") and "+++" not in line]
    assert edit.text("v1").splitlines()[-len(added) :] == added


def test_a_new_file_is_a_patch() -> None:
    (part,) = parse_patch(new_file_patch("Documentation/x", "text").encode(), "a.patch")
    assert part.path == "Documentation/x"


@pytest.mark.parametrize(("kind", "policies"), [("full", ("docker", "containerd")), ("quick", ())])
def test_a_small_kernel_is_asked_for_nothing_that_containers_need(
    kind: str, policies: tuple[str, ...], tmp_path: Path
) -> None:
    project = RoskProject(Workspace(folder=tmp_path, state=State(word="w1", kind=kind, commit="c")))
    project.create()
    assert tuple(load_project(project.root).settings.config.policies) == policies


def test_the_lists_name_each_module_once() -> None:
    main, extra = divide_modules(["kernel/a.ko", "kernel/b.ko"], "# boot\nkernel/b.ko # why\nkernel/c.ko\n")
    assert (main, extra) == ("kernel/b.ko\n", "kernel/a.ko\n")


def test_plain_make_gets_what_rosk_gives_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "no")
    assert set(kernel_environment(0)) >= {"KBUILD_BUILD_TIMESTAMP", "KBUILD_BUILD_USER", "LC_ALL", "LOCALVERSION"}
    assert "SECRET" not in kernel_environment(0)


def test_a_scope_and_an_edit_are_used_once(tmp_path: Path) -> None:
    work = Workspace(folder=tmp_path, state=State(word="w1", kind="full", commit="c"))
    assert [work.new_scope(), work.new_scope()] == ["w1-0", "w1-1"]
    assert [work.take("moves", 2) for _ in range(3)] == [0, 1, 0]
    assert (tmp_path / "state.json").exists()


def test_the_longest_row_goes_on_with_the_side_that_it_stopped_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, cleaned, edits = list[str](), list[str](), list[object]()
    Workspace(folder=tmp_path, state=State(word="w1", kind="full", commit="c")).save()

    def session() -> Session:
        """One of a run that was begun before, whose sides only tell that they were built."""
        found = Session.__new__(Session)
        work = earlier_workspace(tmp_path)
        assert work is not None
        found.work, found.results = work, results()
        found.module = found.builtin = cast(LineEdit, None)
        found.project = cast(RoskProject, SimpleNamespace(add_line=lambda *_: None))
        found.backwards = False
        return found

    def build_all(_self: Session, *sides: str) -> list[tuple[str, Sample]]:
        built.extend(sides)
        if built == ["plain", "rosk", "rosk"]:
            raise KeyboardInterrupt
        return [(side, {"seconds": float(len(built))}) for side in sides]

    monkeypatch.setattr("benchmarks.session.pace", lambda: 1.0)
    monkeypatch.setattr(Session, "build_all", build_all)
    monkeypatch.setattr(Session, "set_line", lambda _self, edit: edits.append(edit))
    monkeypatch.setattr(Session, "_clean", lambda _self, side: cleaned.append(side))
    monkeypatch.setattr(Session, "_compare_kernels", lambda _self: None)
    with pytest.raises(KeyboardInterrupt):
        session().row_nothing()
    again = session()
    found = [(side, sample["seconds"]) for side, sample in again.row_nothing()]
    assert found == [("plain", 1.0), ("rosk", 2.0), ("rosk", 4.0), ("plain", 5.0), ("tuxmake", 6.0)]
    assert built == ["plain", "rosk", "rosk", "rosk", "plain", "tuxmake"]
    assert len(edits) == 6, "the lines have other values in rosk's second turn, and when that begins anew"
    assert cleaned == built
    paces = "took its turn while a loop in Python took 1.00 s before it and 1.00 s after it"
    said = [f"{side} {paces}" for side in ("rosk", "plain", "tuxmake")]
    assert again.results.notes == {"nothing": ["it was interrupted: plain, rosk had been measured before", *said]}
    assert again.work.state.begun == []


def test_the_sides_take_turns_the_other_way_round() -> None:
    built = list[str]()

    def build(_self: Session, side: str) -> Sample:
        built.append(side)
        return {"seconds": 1.0}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "build", build)
        found = Session.__new__(Session)
        found.results, found.stale, found.tuxmake_works = results(), set(), True
        for _ in range(2):
            found.measure(row("noop"))
    assert built == ["plain", "tuxmake", "rosk", "rosk", "tuxmake", "plain"]


@pytest.mark.parametrize("kit", KITS.values(), ids=KITS)
def test_the_kits_have_an_edit_for_each_repetition(kit: Kit) -> None:
    for name, edits in (("config", kit.options), ("firmware", kit.firmware), ("list", kit.moves)):
        assert len(edits) >= (row(name).repeat if kit.kind == "full" else row(name).repeat_quick)


def test_the_default_lists_have_what_is_moved() -> None:
    lists = HERE.parent / "lists/x86"
    main = (lists / "modules.list").read_text().splitlines()
    firmware = (lists / "firmware.list").read_text().splitlines()
    assert set(KITS["full"].moves) <= set(main)
    assert not set(KITS["full"].firmware) & set(firmware)


def test_a_busy_machine_is_said() -> None:
    assert idle_warning(0.4, 2) is None
    assert "not idle" in str(idle_warning(3.0, 2))


def test_a_quick_run_does_not_overwrite_the_results() -> None:
    assert parse([]).out == HERE
    assert parse(["--quick"]).out == HERE / "quick"
    some = parse(["--rows", "noop"])
    assert (some.rows, some.out) == ((row("noop"),), HERE / "rows")
    assert parse(["--rows", "noop", "--resume"]).out == HERE


def test_the_copy_of_rosk_is_compiled_as_a_users_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr("benchmarks.workspace._commit", lambda: "c")
    code = new_workspace(tmp_path / "work", "fake").code
    sources = {path.relative_to(code).with_suffix("") for path in (code / "builder").rglob("*.py")}
    compiled = {
        path.relative_to(code).parent.parent / path.name.partition(".")[0]
        for path in (code / "builder").rglob("__pycache__/*.pyc")
    }
    assert sources == compiled
    assert len(sources) > 100
