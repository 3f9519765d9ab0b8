from __future__ import annotations

from pathlib import Path

import pytest

from builder.config import setting
from builder.config.ask import ConfigOptions
from builder.config.checking import checked
from builder.config.model import Answer, Asked, parse_value
from builder.config.setting import outcome, parse_words, run_set, with_choices
from builder.errors import InputError
from builder.project import Project, load_project
from tests.unit.config.answers import FACTS, FILE, answer, dropped
from tests.unit.projects import SETTINGS, write_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    settings = SETTINGS + "config:\n  fragments: [config/net.config]\n"
    files = {"config/rosk.yaml": settings, "config/net.config": "CONFIG_DUMMY=y\n"}
    return load_project(write_project(tmp_path, **files), arch="x86")


def test_words_are_read_with_and_without_their_prefix() -> None:
    assert parse_words(["VXLAN=m", "CONFIG_SND=n", "CMDLINE=a=b c"]) == {"VXLAN": "m", "SND": "n", "CMDLINE": "a=b c"}


@pytest.mark.parametrize("words", [["VXLAN"], ["=m"], ["a b=m"], ["VXLAN=m", "CONFIG_VXLAN=n"]])
def test_words_that_set_nothing_are_refused(words: list[str]) -> None:
    with pytest.raises(InputError):
        parse_words(words)


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("NET", "Y", "y"),
        ("VXLAN", "m", "m"),
        ("LOG_BUF_SHIFT", "18", "18"),
        ("PHYSICAL_START", "0x1000000", "0x1000000"),
        ("CMDLINE", "quiet", '"quiet"'),
        ("CMDLINE", '"quiet"', '"quiet"'),
        ("CMDLINE", 'a "b"', '"a \\"b\\""'),
        ("CMDLINE", r"a\b", r'"a\\b"'),
        ("CMDLINE", '"a', r'"\"a"'),
        ("CMDLINE", r'"a\\b \"c\""', r'"a\\b \"c\""'),
        ("CMDLINE", r'"a\"', r'"a\\"'),
        ("CMDLINE", "", '""'),
    ],
)
def test_a_value_is_written_as_kconfig_writes_it(name: str, given: str, value: str) -> None:
    assert parse_value(FACTS, name, given) == value


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("NET", "m", "type is bool"),
        ("NET", "1", "type is bool"),
        ("VXLAN", "yes", "type is tristate"),
        ("LOG_BUF_SHIFT", "0x12", "type is int"),
        ("PHYSICAL_START", "16", "type is hex"),
        ("CMDLINE", "a\nCONFIG_B=y", "one line"),
        ("LOCALVERSION", "-mine", "set by the build"),
        ("VXLN", "m", "no option VXLN"),
    ],
)
def test_a_wrong_value_is_refused(name: str, given: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        parse_value(FACTS, name, given)
    assert caught.value.hint
    if name == "VXLN":
        assert "VXLAN" in caught.value.hint


def test_another_member_of_a_choice_makes_room() -> None:
    assert with_choices({"KERNEL_GZIP": "y", "NET": "y"}, {"KERNEL_XZ": "y"}, FACTS) == {
        "KERNEL_GZIP": None,
        "KERNEL_XZ": "y",
    }
    assert with_choices({"KERNEL_GZIP": "y"}, {"KERNEL_XZ": "n"}, FACTS) == {"KERNEL_XZ": "n"}


def test_what_follows_is_told_with_its_reason(project: Project) -> None:
    before = answer({"NET": "y", "INET": "y"})
    after = answer({"NET": "y", "INET": "y", "VXLAN": "m", "NET_UDP_TUNNEL": "m"})
    found = outcome({"VXLAN": "m"}, before, after, file=FILE, texts=("", ""), project=project)
    assert found.refused == [] and found.settings[0].took and found.settings[0].was == "n"
    (also,) = found.also
    assert (also.name, also.old, also.new, also.why) == ("NET_UDP_TUNNEL", "n", "m", "selected by CONFIG_VXLAN")


def test_what_does_not_take_has_its_reason_and_a_remedy(project: Project) -> None:
    before = answer({"NET": "y"})
    lost = dropped("VXLAN", "m", "needs INET (n) [drivers/net/Kconfig:14]", ("INET", "y"))
    found = outcome(
        {"VXLAN": "m"}, before, answer({"NET": "y"}, dropped=(lost,)), file=FILE, texts=("", ""), project=project
    )
    assert found.refused == ["CONFIG_VXLAN=m comes out as n: needs INET (n) [drivers/net/Kconfig:14]"]
    assert found.settings[0].first == "INET=y"


def test_a_line_that_loses_what_it_asks_for_is_a_refusal(project: Project) -> None:
    before = answer({"NET": "y", "INET": "y"})
    lost = dropped("INET", "y", "needs NET (n)", line=2)
    found = outcome({"NET": "n"}, before, answer({}, dropped=(lost,)), file=FILE, texts=("", ""), project=project)
    assert found.settings[0].took
    assert found.refused == ["CONFIG_INET=y became n: needs NET (n) (config/x86/kernel-config:2)"]
    # What was lost before is no news.
    before = answer({"NET": "y"}, dropped=(lost,))
    found = outcome({"DUMMY": "n"}, before, before, file=FILE, texts=("", ""), project=project)
    assert found.refused == []


def test_a_line_of_an_option_that_is_not_there_goes(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the hint of `config check` says; one that no line asks for is a typing error."""
    (path := project.inputs[FILE]).write_text("CONFIG_NET=y\nCONFIG_FB_NVIDIA=m\n")
    lost = dropped("FB_NVIDIA", "m", "this kernel has no such option", line=2)
    asked = {"NET": Asked(value="y", where=FILE, line=1), "FB_NVIDIA": Asked(value="m", where=FILE, line=2)}

    def ask(_project: Project, _asking: object, texts: dict[str, str] | None = None) -> Answer:
        left = () if texts and "NVIDIA" not in texts[FILE] else (lost,)
        return answer({"NET": "y"}, asked=asked, dropped=left)

    monkeypatch.setattr(setting, "ask", ask)
    options = ConfigOptions(root=project.root, arch="x86")
    with pytest.raises(InputError, match="no option FB_NVIDIO"):
        run_set(["FB_NVIDIO=n"], options)
    with pytest.raises(InputError, match="no option FB_NVIDIA"):
        run_set(["FB_NVIDIA=y"], options)
    assert run_set(["FB_NVIDIA=n"], options).removed == ("FB_NVIDIA",)
    assert path.read_text() == "CONFIG_NET=y\n"
    assert "CONFIG_FB_NVIDIA: its line is out" in capsys.readouterr().out


def test_a_program_that_the_toolchain_lacks_is_named_with_its_package(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = dropped("VXLAN", "m", "needs PAHOLE_VERSION (0)>=116 [lib/Kconfig.debug:395]")

    def ask(_project: Project, _asking: object, texts: dict[str, str] | None = None) -> Answer:
        return answer({"NET": "y"}, dropped=(lost,) if texts else ())

    monkeypatch.setattr(setting, "ask", ask)
    with pytest.raises(InputError) as caught:
        run_set(["VXLAN=m"], ConfigOptions(root=project.root, arch="x86"))
    assert "`packages: [dwarves]` in the settings' section toolchain" in caught.value.hint
    (error,) = checked(project, answer({}, dropped=(lost,))).errors
    assert error.endswith("; toolchain.packages: [dwarves] in the settings brings it")


def test_a_fragment_that_wins_is_named(project: Project) -> None:
    asked = {"DUMMY": Asked(value="y", where="config/fragments/00-net.config", line=1)}
    after = answer({"DUMMY": "y"}, asked=asked)
    found = outcome({"DUMMY": "m"}, after, after, file=FILE, texts=("", ""), project=project)
    assert found.refused == ["CONFIG_DUMMY=m comes out as y: config/net.config:1 sets it to y, and wins"]
