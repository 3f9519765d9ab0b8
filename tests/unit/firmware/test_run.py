"""The commands on a small project with a release made by hand, with no engine."""

from __future__ import annotations

import http.server
import json
import re
from pathlib import Path

import pytest

from builder.context import dockerfiles
from builder.errors import BuildError, FetchError, InputError
from builder.firmware.run import run_check, run_fix
from builder.firmware.source import read_told
from builder.lists.learn import ListOptions
from builder.stages.lists import FIRMWARE
from tests.conftest import serving
from tests.unit.lists.kernels import ALL, NIC, V, write_modules
from tests.unit.projects import SETTINGS, write_project
from tests.unit.test_dockerfile import closure
from tests.unit.verify.releases import release

LIST, EXTRA = "lists/x86/firmware.list", "lists/x86/firmware-extra.list"
WHENCE = "Driver: nic - a NIC\nFile: nic/a.fw\nFile: nic/b.fw\nFile: nic/c-1.fw\nLicence: Redistributable.\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a firmware folder; of its kernel one module in the extras asks for nic/a.fw and nic/b.fw."""
    root = tmp_path / "project"
    lists = {"lists/x86/modules.list": "kernel/fs/*\nkernel/lib/*\n", "lists/x86/modules-extra.list": "kernel/**\n"}
    settings = SETTINGS.replace("source: none", "source: folder\n  path: firmware")
    write_project(root, **{"config/rosk.yaml": settings, LIST: "# the nic\nnic/a.fw\n", **lists})
    write_project(root, **{"firmware/WHENCE": WHENCE, "config/rosk.yaml": settings, **lists})
    for name in ("a.fw", "b.fw", "c-1.fw"):
        (root / "firmware/nic").mkdir(exist_ok=True)
        (root / "firmware/nic" / name).write_text(name)
    folder = write_modules(tmp_path / "built")
    (folder / "modules.builtin").write_text("kernel/drivers/tg3.ko\n")
    (folder / "modules.builtin.modinfo").write_bytes(b"tg3.firmware=nic/c-1.fw\0tg3.license=GPL\0")
    names = (*ALL, "modules.builtin", "modules.builtin.modinfo")
    files = {path: (folder / path).read_bytes() for path in names}
    kernel, extras = (
        {f"./lib/modules/{V}/{path}": data for path, data in files.items() if (path == NIC) is inside}
        for inside in (False, True)
    )
    release(root / "dist", v=V, kernel=kernel, extras=extras)
    return root


def options(root: Path, *, as_json: bool = False) -> ListOptions:
    return ListOptions(root=root, arch="x86", engine=False, as_json=as_json)


def told(root: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    capsys.readouterr()
    run_check(options(root, as_json=True))
    return dict(json.loads(capsys.readouterr().out))


def refused(function: object, *arguments: object, **given: object) -> InputError:
    with pytest.raises(InputError) as caught:
        function(*arguments, **given)  # type: ignore[operator]
    return caught.value


def test_check_says_what_to_add_and_where_it_is_known_from(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_check(options(project))
    out = capsys.readouterr().out
    assert f"{NIC} of the extras package may ask for nic/b.fw" in out
    assert f"add this name to {EXTRA}" in out
    assert "tg3 (built in) may ask for nic/c-1.fw" in out and f"add this name to {LIST}" in out
    assert f"the release {V}" in out and "3 files of the firmware source" in out
    assert "1 file and 0 links ship: 0 errors, 2 warnings" in out
    error = refused(run_check, options(project), strict=True)
    assert error.exit_code == 3 and len(error.details) == 2


def test_check_as_json_has_the_licence_of_each_file(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(project, capsys)
    assert (found["release"], found["complete"], found["errors"], found["warnings"]) == (V, True, 0, 2)
    assert found["asked"] == {"nic/a.fw": [NIC], "nic/b.fw": [NIC], "nic/c-1.fw": ["tg3"]}
    assert found["files"] == [
        {
            "path": "nic/a.fw",
            "package": "kernel",
            "target": None,
            "licence": {
                "text": "Redistributable.",
                "section": "nic - a NIC",
                "files": [],
                "sources": [],
                "problem": "",
            },
            "asked_by": [NIC],
        }
    ]


def test_lines_that_are_wrong_come_first_and_need_no_release(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / LIST).write_text("nic/a.fw\nnic/a.fw\n")
    (project / EXTRA).write_text("nic/a.fw\n")
    error = refused(run_check, options(project, as_json=True))
    assert [detail.split(": ")[0] for detail in error.details] == [f"{LIST}:2", f"{EXTRA}:1"]
    assert "was not looked at" in error.hint
    assert json.loads(capsys.readouterr().out)["complete"] is False
    assert refused(run_fix, options(project)).what == "2 errors in the firmware lists"


def test_strict_settings_make_an_error_of_what_the_source_lacks(project: Path) -> None:
    (project / LIST).write_text("nic/aa.fw\n")
    run_check(options(project))
    settings = project / "config/rosk.yaml"
    settings.write_text(settings.read_text().replace("path: firmware", "path: firmware\n  strict: true"))
    error = refused(run_check, options(project))
    assert error.details[0].startswith(f"{LIST}:1: nic/aa.fw does not ship")


def test_a_project_that_was_never_built_has_its_lists_checked(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (project / "dist/kernel").iterdir():
        path.unlink()
    (project / LIST).write_text("nic/nothing.fw\n")
    found = told(project, capsys)
    assert (found["release"], found["complete"]) == (None, False)
    assert [finding["kind"] for finding in found["findings"]] == ["absent"]  # type: ignore[attr-defined]
    assert "no release in dist and no engine" in str(found["sources"])
    assert "leave out --no-engine" in refused(run_fix, options(project)).hint


def test_fix_writes_what_its_diff_says(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / LIST).chmod(0o640)
    run_fix(options(project), dry_run=True)
    shown = capsys.readouterr().out
    assert (project / LIST).read_text() == "# the nic\nnic/a.fw\n" and not (project / EXTRA).exists()
    assert f"--- a/{LIST}\n" in shown and "+nic/c-1.fw\n" in shown and f"+++ b/{EXTRA}\n" in shown
    run_fix(options(project))
    assert capsys.readouterr().out == shown
    assert (project / LIST).read_text() == "# the nic\nnic/a.fw\nnic/c-1.fw\n"
    assert (project / EXTRA).read_text() == "nic/b.fw\n"
    assert (project / LIST).stat().st_mode & 0o777 == 0o640
    run_fix(options(project))
    assert capsys.readouterr().out == "nothing to add\n"
    assert told(project, capsys)["findings"] == []


def test_fix_as_json(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / LIST).write_text("nic/c-0.fw\nnic/a.fw\n")
    (project / "firmware/nic/c-0.fw").write_text("old")
    (project / "firmware/WHENCE").write_text(WHENCE.replace("File: nic/a.fw", "File: nic/c-0.fw\nFile: nic/a.fw"))
    run_fix(options(project, as_json=True), take_newer=True)
    found = json.loads(capsys.readouterr().out)
    assert found["added"] == {"kernel": [], "extras": ["nic/b.fw"]}
    assert found["replaced"] == {"nic/c-0.fw": "nic/c-1.fw"}
    assert (project / LIST).read_text() == "nic/c-1.fw\nnic/a.fw\n"


def test_a_source_that_only_the_engine_opens_is_not_known(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = project / "config/rosk.yaml"
    text = settings.read_text().replace("source: folder\n  path: firmware", "source: debian\n  packages: [firmware-x]")
    settings.write_text(text)
    found = told(project, capsys)
    assert found["complete"] is False and found["files"] == []
    assert "not known without the engine" in str(found["sources"])


def test_a_folder_with_a_link_that_leaves_it_is_an_input_error(project: Path) -> None:
    (project / "firmware/bad.fw").symlink_to("/etc/passwd")
    error = refused(run_check, options(project))
    assert error.exit_code == 3 and "leads out of the firmware folder" in error.what


def test_a_folder_that_is_no_project(tmp_path: Path) -> None:
    assert refused(run_check, options(tmp_path)).hint.startswith("run rosk in a project's folder")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"asked": {}}'])
def test_half_of_what_the_engine_tells_is_an_error(tmp_path: Path, text: str) -> None:
    for name, content in {
        "foreseen.json": '{"built": [], "needs": {}}',
        "module-options.json": "{}",
        "config": "",
        "kernel.release": V,
        "asked.json": text,
        "offered.json": "{}",
    }.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(BuildError, match="the engine told nothing of the firmware"):
        read_told(tmp_path)
    (tmp_path / "asked.json").write_text('{"asked": {"kernel/a.ko": ["a.fw"]}, "unclear": {"kernel/b.ko": 1}}')
    found = read_told(tmp_path)
    assert (found.offer, found.asked, found.unclear) == (None, {"kernel/a.ko": ("a.fw",)}, ("kernel/b.ko",))


TEXT = "\n".join((dockerfiles() / f"{name}.Dockerfile").read_text() for name in ("kernel", "lists", "firmware"))


def test_each_stage_has_what_its_program_imports_and_nothing_is_compiled() -> None:
    blocks = {}
    for block in re.split(r"^(?=FROM )", TEXT.replace("\\\n", " "), flags=re.M)[1:]:
        base, name = re.findall(r"^FROM (?:--\S+ )?(\S+) AS (\S+)$", block, re.M)[0]
        blocks[name] = (base, block)
    for stage in ("asked", "offered-debian", "offered-archive", "offered-folder", "offered-none", "firmware-fetched"):
        copied: set[str] = set()
        at, programs = stage, set(re.findall(r"-m builder\.stages\.(\w+)", blocks[stage][1]))
        while at in blocks:
            base, block = blocks[at]
            assert at != "compile" and "--from=compile" not in block
            for line in re.findall(r"^COPY --from=rosk-programs (stages/.*)$", block, re.M):
                copied |= {Path(name).stem for name in line.split()[:-1]}
            at = base
        for program in programs:
            assert closure(program) <= copied, stage


UPSTREAM = WHENCE.replace("File: nic/c-1.fw", "File: nic/d-2.fw\nLink: nic/link.fw -> a.fw")


class Site(http.server.BaseHTTPRequestHandler):
    """A server with a WHENCE, which tests change."""

    status, body = 200, UPSTREAM

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body.encode())

    def log_message(self, *_: object) -> None:
        pass


def test_what_is_newer_upstream(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a server, from what was fetched before when that does not answer, and from a clone."""
    monkeypatch.setenv("ROSK_CACHE", str(tmp_path / "cache"))
    (project / LIST).write_text("nic/a.fw\nnic/b.fw\nnic/c-1.fw\nnic/d-0.fw\n")

    def checked(where: str) -> tuple[str, list[str]]:
        capsys.readouterr()
        run_check(options(project, as_json=True), upstream=where)
        found = json.loads(capsys.readouterr().out)
        assert found["upstream"]["url"] == where
        return found["sources"][-1], [each["path"] for each in found["findings"] if each["kind"] == "upstream"]

    with serving(Site) as host:
        url = f"http://{host}/WHENCE"
        assert checked(url) == ("4 files of linux-firmware upstream", ["nic/d-0.fw"])
        for status, body in ((503, "later"), (200, "<!doctype html>"), (200, "File: ../../etc/x\n"), (200, "nothing")):
            monkeypatch.setattr(Site, "status", status)
            monkeypatch.setattr(Site, "body", body)
            said, found = checked(url)
            assert said.startswith("4 files of linux-firmware upstream, as of ") and found == ["nic/d-0.fw"]
        with pytest.raises(FetchError, match="cannot be had") as caught:
            checked(f"{url}?other")
        assert "ROSK_WHENCE_URL" in caught.value.hint
    (tmp_path / "clone").mkdir()
    (tmp_path / "clone/WHENCE").write_text(UPSTREAM)
    assert checked(str(tmp_path / "clone"))[1] == ["nic/d-0.fw"] == checked(str(tmp_path / "clone/WHENCE"))[1]
    with pytest.raises(InputError, match="cannot be read"):
        checked(str(tmp_path))
    with pytest.raises(InputError, match="no WHENCE"):
        checked(str(project / LIST))


def test_a_list_that_is_no_text_is_refused_with_what_belongs_there(project: Path) -> None:
    (project / LIST).write_bytes(b"nic/\xff.fw\n")
    with pytest.raises(InputError, match="not a text file") as caught:
        run_fix(ListOptions(root=project, arch="x86", engine=False))
    assert FIRMWARE.example in caught.value.hint and ".ko" not in caught.value.hint
