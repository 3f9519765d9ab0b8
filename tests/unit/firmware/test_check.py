"""What is found wrong with firmware lists, of a source in a folder and modules that ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.firmware.check import KINDS, check, missing, near_names, newer, newer_upstream, shipped
from builder.firmware.fold import fold
from builder.firmware.model import Asking, Known, Offer, Texts, Upstream, read_texts
from builder.firmware.run import fixed
from builder.stages.firmwaretree import scan
from tests.unit.stages.test_firmware import write_files

WHENCE = """\
Driver: iwlwifi - Intel Wireless
File: iwlwifi-cc-a0-72.ucode
File: iwlwifi-cc-a0-77.ucode
File: iwlwifi-cc-a0-99.ucode
Licence: Redistributable. See LICENCE.iwlwifi_firmware for details
------------
Driver: r8169 - RealTek
File: rtl_nic/rtl8168d-1.fw
File: rtl_nic/rtl8168d-2.fw
File: rtl_nic/rtl8168h-2.fw
Link: rtl_nic/alias.fw -> rtl8168h-2.fw
Licence: Redistributable.
------------
Driver: brcmfmac - Broadcom
File: brcm/brcmfmac43430-sdio.bin
File: brcm/brcmfmac43430-sdio.acme.bin
Licence: Redistributable.
------------
Driver: cassini - Sun
File: sun/cassini.bin
Licence: Unknown
"""
R8169, IWL = "kernel/drivers/net/r8169.ko", "kernel/drivers/net/wireless/iwlwifi.ko"


@pytest.fixture(scope="module")
def offer(tmp_path_factory: pytest.TempPathFactory) -> Offer:
    root = tmp_path_factory.mktemp("linux-firmware")
    names = [line.removeprefix("File: ") for line in WHENCE.splitlines() if line.startswith("File: ")]
    write_files(root, {"WHENCE": WHENCE, "LICENCE.iwlwifi_firmware": "text", **dict.fromkeys(names, "x")})
    return Offer(tree=scan(root), revision="20250410")


def known(offer: Offer | None, asked: dict[str, list[str]] | None = None, **given: object) -> Known:
    """What is known; `asked` has modules with what they ask for; `+` before a path: it is of the extras."""
    found: dict[str, list[Asking]] = {}
    for path, names in (asked or {}).items():
        asking = Asking(path=path.removeprefix("+"), package="extras" if path.startswith("+") else "kernel")
        for name in names:
            found.setdefault(name, []).append(asking)
    told = None if asked is None else {name: tuple(asking) for name, asking in found.items()}
    return Known(offer=offer, asked=told, **given)  # type: ignore[arg-type]


def upstream(*names: str) -> Upstream:
    return Upstream(names=frozenset(names), url="there", fetched=0.0, stale=False, said="")


def kinds(texts: Texts, what: Known, **given: bool) -> list[tuple[str, str, int | None]]:
    return [(each.kind, each.path, each.line) for each in check(texts, what, **given)]


def test_lists_that_are_right_have_no_findings(offer: Offer) -> None:
    texts = read_texts("# nic\nrtl_nic/rtl8168h-2.fw\nrtl_nic/rtl8168d-1.fw\n", "iwlwifi-cc-a0-77.ucode\n")
    asked = {
        R8169: ["rtl_nic/rtl8168h-2.fw", "rtl_nic/rtl8168d-1.fw"],
        f"+{IWL}": ["iwlwifi-cc-a0-77.ucode"],
    }
    assert kinds(texts, known(offer, asked)) == []
    ships = {each.path: each for each in shipped(texts, known(offer, asked))}
    assert ships["iwlwifi-cc-a0-77.ucode"].package == "extras"
    alias = ships["rtl_nic/alias.fw"]  # WHENCE's link to a listed file ships with it
    assert (alias.package, alias.target, alias.asked_by) == ("kernel", "rtl_nic/rtl8168h-2.fw", ())
    assert alias.licence is not None and alias.licence.text == "Redistributable."
    assert ships["rtl_nic/rtl8168h-2.fw"].asked_by == (R8169,)


def test_what_modules_ask_for_and_no_package_has(offer: Offer) -> None:
    asked = {
        R8169: ["rtl_nic/rtl8168h-2.fw", "rtl_nic/rtl8168h-9.fw"],
        f"+{IWL}": ["iwlwifi-cc-a0-77.ucode", "rtl_nic/rtl8168h-2.fw"],
    }
    found = check(read_texts("", ""), known(offer, asked))
    assert [(each.kind, each.path) for each in found] == [
        ("missing", "rtl_nic/rtl8168h-2.fw"),
        ("missing", "iwlwifi-cc-a0-77.ucode"),
        ("unavailable", "rtl_nic/rtl8168h-9.fw"),
    ]
    assert found[0].hint.startswith("add this name to lists/firmware.list")  # the kernel package wins, and comes first
    assert "and 1 more" in found[0].what
    assert found[1].what.startswith(f"{IWL} of the extras package may ask for")
    assert found[1].hint.startswith("add this name to lists/firmware-extra.list")
    assert found[2].hint == "the source lacks it; it has rtl_nic/rtl8168h-2.fw"


def test_a_link_that_is_asked_for_ships_with_its_file(offer: Offer) -> None:
    asked = {R8169: ["rtl_nic/alias.fw"]}
    assert kinds(read_texts("rtl_nic/rtl8168h-2.fw\n", ""), known(offer, asked)) == []
    assert kinds(read_texts("rtl_nic/alias.fw\n", ""), known(offer, asked)) == []
    assert kinds(read_texts("", ""), known(offer, asked)) == [("missing", "rtl_nic/alias.fw", None)]


def test_a_module_that_names_a_pattern(offer: Offer) -> None:
    asked = {"kernel/brcmfmac.ko": ["brcm/brcmfmac*-sdio.*.bin", "brcm/brcmfmac43430-sdio.bin"]}
    (first, second) = missing(read_texts("", ""), known(offer, asked))
    assert (first.name, first.files) == ("brcm/brcmfmac*-sdio.*.bin", ("brcm/brcmfmac43430-sdio.acme.bin",))
    assert second.files == ("brcm/brcmfmac43430-sdio.bin",)
    assert kinds(read_texts("brcm/*\n", ""), known(offer, asked)) == []
    listed = read_texts("brcm/brcmfmac43430-sdio.acme.bin\nbrcm/brcmfmac43430-sdio.bin\n", "")
    assert kinds(listed, known(offer, asked)) == []


def test_what_the_image_itself_holds_is_not_missing(offer: Offer) -> None:
    asked = {R8169: ["rtl_nic/rtl8168h-2.fw"]}
    assert kinds(read_texts("", ""), known(offer, asked, inside=frozenset({"rtl_nic/rtl8168h-2.fw"}))) == []


def test_what_is_only_in_the_extras_though_the_kernel_package_asks(offer: Offer) -> None:
    asked = {R8169: ["rtl_nic/rtl8168h-2.fw"]}
    assert kinds(read_texts("", "rtl_nic/rtl8168h-2.fw\n"), known(offer, asked)) == [
        ("in-extra", "rtl_nic/rtl8168h-2.fw", 1)
    ]
    assert kinds(read_texts("", "rtl_nic/rtl8168h-2.fw\n"), known(offer, {f"+{R8169}": asked[R8169]})) == []


def test_a_newer_version_that_a_module_takes(offer: Offer) -> None:
    texts = read_texts("", "iwlwifi-cc-a0-72.ucode\n")
    (only,) = newer(texts, known(offer, {f"+{IWL}": ["iwlwifi-cc-a0-77.ucode"]}))
    assert (only.path, only.entry.line) == ("iwlwifi-cc-a0-77.ucode", 1)  # 99 is for a later driver
    # The driver takes up to 88, and 77 is the last before it.
    assert [each.path for each in newer(texts, known(offer, {IWL: ["iwlwifi-cc-a0-88.ucode"]}))] == [only.path]
    # Nothing is known of the modules, or none names a version of it: all that can be said is that there is a newer one.
    assert [each.path for each in newer(texts, known(offer))] == ["iwlwifi-cc-a0-99.ucode"]
    # The list has it too, for drivers of both kernels.
    both = read_texts("", "iwlwifi-cc-a0-72.ucode\niwlwifi-cc-a0-77.ucode\n")
    assert newer(both, known(offer, {IWL: ["iwlwifi-cc-a0-77.ucode"]})) == []


def test_a_version_that_a_module_names_is_right_as_it_is(offer: Offer) -> None:
    texts = read_texts("rtl_nic/rtl8168d-1.fw\n", "")
    assert newer(texts, known(offer, {R8169: ["rtl_nic/rtl8168d-1.fw", "rtl_nic/rtl8168d-2.fw"]})) == []
    assert [each.path for each in newer(texts, known(offer))] == ["rtl_nic/rtl8168d-2.fw"]


def test_a_listed_file_that_no_module_names(offer: Offer) -> None:
    texts = read_texts("rtl_nic/rtl8168h-2.fw\nsun/*\n", "iwlwifi-cc-a0-72.ucode\n")
    asked = {IWL: ["iwlwifi-cc-a0-77.ucode"]}
    found = kinds(texts, known(offer, asked))
    assert ("unasked", "rtl_nic/rtl8168h-2.fw", 1) in found
    assert [path for kind, path, _ in found if kind == "unasked"] == ["rtl_nic/rtl8168h-2.fw"]  # 72: see 77
    assert not [kind for kind, _, _ in kinds(texts, known(offer)) if kind == "unasked"]


def test_a_line_that_names_nothing_and_what_is_near(offer: Offer) -> None:
    texts = read_texts("rtl_nic/rtl8168h-1.fw\nrtl8168d-1.fw\nrtl_nic/rtl8168.fw\nno/such.bin\nWHENCE\n", "x/*\n")
    found = [each for each in check(texts, known(offer)) if each.kind == "absent"]
    assert [(each.where, each.line) for each in found][-1] == ("lists/firmware-extra.list", 1)
    assert [each.hint for each in found[:3]] == [
        "is it rtl_nic/rtl8168h-2.fw?",
        "is it rtl_nic/rtl8168d-1.fw?",
        "is it rtl_nic/rtl8168h-2.fw or rtl_nic/rtl8168d-2.fw?",
    ]
    assert "choose a firmware source" in found[3].hint
    assert "a file of the firmware repository" in found[4].what
    assert not any(each.error for each in found)
    assert all(each.error for each in check(texts, known(offer), strict=True) if each.kind == "absent")
    assert near_names("sun/casini.bin", offer.tree) == ["sun/cassini.bin"]


def test_a_licence_that_is_not_clear_is_named_at_its_line(offer: Offer) -> None:
    found = [each for each in check(read_texts("# x\nsun/*\n", ""), known(offer)) if each.kind == "licence"]
    assert [(each.path, each.where, each.line) for each in found] == [("sun/cassini.bin", "lists/firmware.list", 2)]
    assert "its licence is said to be: Unknown (cassini - Sun)" in found[0].what


def test_a_source_without_whence_says_so_once(tmp_path: Path) -> None:
    tree = scan(write_files(tmp_path, {"a.fw": "a", "b.fw": "b"}))
    found = check(read_texts("*\n", ""), known(Offer(tree=tree, revision="x")))
    assert [(each.kind, each.line) for each in found] == [("licence", None)]
    assert "the licences of the 2 files" in found[0].what


def test_lines_that_are_wrong_are_errors_and_come_first(offer: Offer) -> None:
    texts = read_texts("sun/cassini.bin\nsun/cassini.bin\n/x\n", "sun/cassini.bin\n")
    found = check(texts, known(offer))
    assert [(each.kind, each.error) for each in found] == [
        ("malformed", True),
        ("duplicate", True),
        ("in-both", True),
        ("licence", False),
    ]
    assert {each.kind for each in found} <= set(KINDS)


def test_without_a_source_the_lists_ship_nothing() -> None:
    what = known(None, {R8169: ["rtl_nic/rtl8168h-2.fw"]}, no_source=True)
    assert kinds(read_texts("", ""), what) == []
    assert kinds(read_texts("a.fw\n", ""), what) == [("absent", "a.fw", 1), ("unasked", "a.fw", 1)]


def test_with_an_unknown_source_the_lines_count_as_they_are() -> None:
    what = known(None, {R8169: ["rtl_nic/rtl8168h-2.fw", "rtl_nic/a.fw", "b.fw"]})
    found = check(read_texts("rtl_nic/rtl8168h-2.fw\nrtl_nic/a*\n", ""), what)
    assert [(each.kind, each.path) for each in found] == [("missing", "b.fw")]
    assert "not known without the engine" in found[0].hint


MAIN = "# Intel\niwlwifi-cc-a0-72.ucode  # wireless\n\n# Realtek\nrtl_nic/rtl8168d-1.fw\n"


def test_fix_adds_lines_beside_their_neighbours_and_leaves_the_rest(offer: Offer) -> None:
    asked = {
        R8169: ["rtl_nic/rtl8168d-1.fw", "rtl_nic/rtl8168h-2.fw", "rtl_nic/none.fw"],
        IWL: ["iwlwifi-cc-a0-77.ucode"],
        "kernel/cassini.ko": ["sun/cassini.bin"],
        "+kernel/brcmfmac.ko": ["brcm/brcmfmac43430-sdio.bin"],
    }
    texts = read_texts(MAIN, "")
    after = fixed(texts, known(offer, asked))
    assert after.main == (
        "# Intel\niwlwifi-cc-a0-72.ucode  # wireless\niwlwifi-cc-a0-77.ucode\n\n"
        "# Realtek\nrtl_nic/rtl8168d-1.fw\nrtl_nic/rtl8168h-2.fw\n\n"
        "# Added by `rosk firmware fix`\nsun/cassini.bin\n"
    )
    assert after.extra == "brcm/brcmfmac43430-sdio.bin\n"
    assert fixed(after, known(offer, asked)) == after
    assert not [each for each in check(after, known(offer, asked)) if each.kind == "missing"]


def test_fix_writes_a_newer_version_over_the_older_one(offer: Offer) -> None:
    what = known(offer, {IWL: ["iwlwifi-cc-a0-77.ucode"], R8169: ["rtl_nic/rtl8168d-1.fw"]})
    texts = read_texts(MAIN, "")
    after = fixed(texts, what, newer(texts, what))
    assert after.main == MAIN.replace("-72", "-77")


def test_what_linux_firmware_itself_has(offer: Offer) -> None:
    """A version that the source has is `newer`; one that it lacks is `upstream`, as far as a module takes it."""
    texts = read_texts("iwlwifi-cc-a0-72.ucode\nrtl_nic/rtl8168d-1.fw\nnew/nic.fw\n", "sun/cassini.bin\n")
    there = upstream(
        "iwlwifi-cc-a0-77.ucode", "iwlwifi-cc-a0-88.ucode", "rtl_nic/rtl8168d-3.fw", "new/nic.fw", "new/b.fw"
    )
    asked = {IWL: ["iwlwifi-cc-a0-88.ucode"], R8169: ["rtl_nic/rtl8168d-1.fw", "new/b.fw", "new/c.fw"]}
    found = check(texts, known(offer, asked, upstream=there))
    told = [(each.kind, each.path, each.line) for each in found if each.kind in ("newer", "upstream")]
    # The module of the second line takes that very version, whatever there is by now.
    assert told == [("newer", "iwlwifi-cc-a0-72.ucode", 1), ("upstream", "iwlwifi-cc-a0-72.ucode", 1)]
    (finding,) = (each for each in found if each.kind == "upstream")
    assert "linux-firmware has iwlwifi-cc-a0-88.ucode, newer than" in finding.what
    assert "iwlwifi.ko of the kernel package takes the newer one" in finding.hint
    hints = {each.path: each.hint for each in found if each.kind in ("absent", "unavailable")}
    there_only = {path for path, hint in hints.items() if "linux-firmware itself has it" in hint}
    assert there_only == {"new/nic.fw", "new/b.fw", "iwlwifi-cc-a0-88.ucode"}
    assert "new/c.fw" in hints
    # Where nothing is known of the modules, or of the source, the newest is said all the same.
    for what in (known(offer, None, upstream=there), known(None, None, upstream=there)):
        later = [each.path for each in check(texts, what) if each.kind == "upstream"]
        assert later == ["iwlwifi-cc-a0-72.ucode", "rtl_nic/rtl8168d-1.fw"]
    assert "upstream" not in {each.kind for each in check(texts, known(offer, asked))}
    assert not newer_upstream(texts, known(None, asked, upstream=there, no_source=True))


def test_what_one_module_lacks_is_said_in_a_line(offer: Offer) -> None:
    """Beginning with what the kernel package lacks; each file is a finding all the same."""
    gpu = [f"gpu/{number}.bin" for number in range(30)]
    asked = {"+kernel/gpu.ko": gpu, R8169: ["rtl_nic/rtl8168d-1.fw", "rtl_nic/rtl8168h-2.fw"], IWL: ["none.ucode"]}
    what = known(offer, asked)
    found = check(read_texts("", ""), what)
    assert len(found) == 33
    told = fold(what, found)
    told_of = [
        (each.kind, each.what.replace("kernel/drivers/net/", "").replace(" package may ask", "")) for each in told
    ]
    assert told_of == [
        (
            "missing",
            "r8169.ko of the kernel for rtl_nic/rtl8168d-1.fw and 1 other file, which ship in no package",
        ),
        ("unavailable", "wireless/iwlwifi.ko of the kernel for none.ucode, which ships in no package"),
        (
            "unavailable",
            "kernel/gpu.ko of the extras for gpu/0.bin and 29 other files, which ship in no package",
        ),
    ]
    assert "rosk firmware fix" in told[0].hint and told[2].hint == "the source lacks it"
    assert (
        "not known without the engine"
        in fold(known(None, asked), check(read_texts("", ""), known(None, asked)))[0].hint
    )
    texts = read_texts("", "rtl_nic/*\n")
    told = fold(what, check(texts, what))
    assert [each.what.partition(" may ask for ")[2] for each in told if each.kind == "in-extra"] == [
        "rtl_nic/rtl8168d-1.fw and 1 other file, which are in the extras"
    ]
