"""The report in a real browser: headless Chromium, driven over WebDriver. A missing browser is a failure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from builder.report.run import write_report
from tests.unit.report.releases import BOOT, HOSTILE, MODULES, VERIFY, V, build_facts, write_json, write_release

pytestmark = pytest.mark.host_programs

PHONE, DESK = (390, 844), (1280, 900)
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

CONTRAST = """
    const channel = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    const parts = (color) => color.match(/[\\d.]+/g).map(Number);
    const light = (color) => {
      const [r, g, b] = parts(color).map((value) => channel(value / 255));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (node) => {
      for (let each = node; each; each = each.parentElement) {
        const color = getComputedStyle(each).backgroundColor;
        if (parts(color)[3] !== 0) return color;
      }
    };
    const poor = [];
    for (const node of document.querySelectorAll("body *")) {
      const said = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
      const style = getComputedStyle(node);
      if (!said || !node.checkVisibility() || parts(style.color)[3] === 0) continue;
      const [one, two] = [light(style.color), light(behind(node))].sort((a, b) => a - b);
      const ratio = (two + 0.05) / (one + 0.05);
      if (ratio < 4.5) poor.push(`${node.className} "${node.textContent.slice(0, 30)}" ${ratio.toFixed(2)}`);
    }
    return poor;
"""
"""Text whose contrast is below WCAG 2's level AA (success criterion 1.4.3)."""


class Page:
    """A page in a browser."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def show(self, file: Path, size: tuple[int, int] = DESK, *, dark: bool = False) -> None:
        """Load a file into a window of this size."""
        width, height = size
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size is PHONE}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.logs()
        self.driver.get(file.as_uri())

    def run(self, script: str, *args: Any) -> Any:
        return self.driver.execute_script(script, *args)

    def all(self, css: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def one(self, css: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def text(self, css: str) -> str:
        return self.one(css).text

    def search(self, table: str, words: str) -> list[str]:
        """Search, and return the first column of what is found, sorted."""
        box = self.one(f"#{table}-search")
        self.run("arguments[0].value = ''; arguments[0].dispatchEvent(new Event('input'))", box)
        box.send_keys(words)
        return sorted(
            self.run(
                "return [...document.querySelectorAll(arguments[0])].map((each) => each.textContent)",
                (f"#{table}-table tbody td:first-child > :first-child"),
            )
        )

    def chip(self, table: str, label: str) -> None:
        next(chip for chip in self.all(f"#{table} .chip") if chip.text.startswith(label)).click()

    def logs(self) -> list[dict[str, Any]]:
        """What the console said since the last time."""
        return list(self.driver.get_log("browser"))  # type: ignore[no-untyped-call]

    def loads(self) -> list[str]:
        """What was asked for since the last time, over a network or not."""
        messages = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))  # type: ignore[no-untyped-call]
        return [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]

    def open_all(self) -> None:
        """Open all that opens."""
        self.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        self.run("document.querySelectorAll('.opens').forEach((each) => each.click())")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver")) as driver:
        yield driver


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of everything."""
    root = write_release(tmp_path_factory.mktemp("whole") / "dist")
    write_json(root / "build.json", build_facts())
    write_json(root / "verify.json", VERIFY)
    write_json(root / "boot.json", BOOT)
    return write_report(root)


@pytest.fixture
def page(driver: webdriver.Chrome, report: Path) -> Page:
    """The report of everything, shown."""
    shown = Page(driver)
    shown.show(report)
    return shown


def named(*names: str) -> list[str]:
    return sorted(names)


class TestRenders:
    def test_every_section(self, page: Page) -> None:
        assert page.driver.title == f"Linux {V} (x86)"
        assert page.text("h1") == f"Linux {V}"
        titles = ["Build", "Notices", "Size", "Modules", "Config", "Proofs", "Reproduce"]
        assert [title.text for title in page.all("main h2")] == titles
        assert [link.text for link in page.all("nav a")] == titles
        assert page.logs() == []

    def test_build(self, page: Page) -> None:
        rows = {row.text.split("\n")[0]: row for row in page.all(".timeline li:not(.axis)")}
        assert list(rows) == ["toolchain", "headers", "compile"]
        assert "cached" in rows["toolchain"].text
        assert rows["headers"].find_elements(By.CSS_SELECTOR, ".waiting")
        bar = rows["compile"].find_element(By.CSS_SELECTOR, "i").rect
        track = rows["compile"].find_element(By.CSS_SELECTOR, ".track").rect
        assert bar["x"] - track["x"] == pytest.approx(track["width"] / 95, abs=1)
        assert bar["width"] == pytest.approx(track["width"] * 89 / 95, abs=1)
        assert "1m29s" in rows["compile"].text
        assert "4 of 10 calls answered" in page.text("#build")

    def test_size(self, page: Page) -> None:
        """Areas are in the proportion of sizes, and a part can be looked at closer, down to one module."""
        boxes = {row.text: row.find_element(By.XPATH, "..").rect for row in page.all(".group > button") if row.text}
        area = {name: box["width"] * box["height"] for name, box in boxes.items()}
        assert area["fs"] > 0.9 * sum(area.values())
        page.run("document.querySelector('.group > button').click()")
        assert [tile.get_attribute("aria-label") for tile in page.all("button.tile")] == [
            "kernel/fs/btrfs/btrfs.ko: 1.5 MB, kernel package"
        ]
        page.one("button.tile").click()
        assert page.one("#modules-search").get_attribute("value") == "module:kernel/fs/btrfs/btrfs.ko"
        page.one(".mapbar button").send_keys(Keys.ENTER)
        assert len(page.all(".group")) == 7

    def test_proofs(self, page: Page) -> None:
        checks = [row.text for row in page.all("#checks tbody tr")]
        assert checks[0].startswith("failed modules-dep wrong: 1\nno modprobe")
        assert checks[1].startswith("ok vermagic 6 modules")
        assert page.text("#boot-checks") == "ok overlayfs\nfailed cgroup no mount"
        proofs = page.text("#proofs")
        for said in ("1 module does not fit this kernel", "own: Exec format error", "1 loaded, 1 no device"):
            assert said in proofs

    def test_a_kernel_that_boots(self, page: Page, tmp_path: Path) -> None:
        root = write_release(tmp_path / "dist")
        write_json(root / "boot.json", {"ok": True, "seconds": 4.5, "accel": "tcg"})
        page.show(write_report(root))
        assert "It boots, in 4.5s (tcg)." in page.text("#proofs")
        assert "boots\nin 4.5s" in page.text(".facts")

    def test_reproduce(self, page: Page) -> None:
        page.open_all()
        text = page.text("#reproduce")
        assert page.text("#reproduce .command code") == "rosk build --arch x86"
        assert f"acme/os-kernel:{V}" in text
        assert "4:14.2.0-1" in text

    def test_of_packages_alone(self, page: Page, tmp_path: Path) -> None:
        root = write_release(tmp_path / "dist")
        (root / "manifest.json").unlink()
        (root / "kernel/config").unlink()
        page.show(write_report(root))
        assert page.logs() == []
        assert page.search("modules", "") == named("btrfs", "iwlwifi", "libcrc32c", "own", "tun", "xor")
        for hint in ("rosk build", "rosk verify", "rosk boot"):
            assert hint in page.text("main")


class TestSearch:
    @pytest.mark.parametrize(
        ("words", "found"),
        [
            ("", [path.split("/")[-1].removesuffix(".ko") for path in MODULES]),
            ("btrfs", ["btrfs"]),
            ("CONFIG_IWLWIFI", ["iwlwifi"]),
            ("ucode", ["iwlwifi"]),
            ("intel/iwlwifi_2", ["iwlwifi"]),
            ("package:extras", ["iwlwifi"]),
            ("crc32c", ["libcrc32c", "btrfs", "iwlwifi"]),
            ("needs:libcrc32c", ["btrfs", "iwlwifi"]),
            ("needs:libcrc32c package:kernel", ["btrfs"]),
            ("size>1MB", ["btrfs"]),
            ("size<1MB license:gpl module:drivers", ["tun", "iwlwifi"]),
            ("nothing:like this", []),
        ],
    )
    def test_modules(self, page: Page, words: str, found: list[str]) -> None:
        assert page.search("modules", words) == sorted(found)
        number = f"{len(found)} module" if found else "No module matches"
        assert page.text("#modules .found").startswith(number)
        assert page.logs() == []

    def test_only_some(self, page: Page) -> None:
        page.chip("modules", "Firmware not shipped")
        assert page.search("modules", "") == ["iwlwifi"]
        assert page.search("modules", "btrfs") == []
        page.chip("modules", "All")
        assert page.search("modules", "btrfs") == ["btrfs"]

    @pytest.mark.parametrize(
        ("chip", "words", "found"),
        [
            ("All", "hz", ["HZ"]),
            ("All", "value:250", ["HZ"]),
            ("All", "from:kernel-config", ["BTRFS_FS", "HZ"]),
            ("On", "", ["64BIT", "BTRFS_FS", "HZ", "LOCALVERSION"]),
            ("Not as asked", "", ["HZ"]),
            ("Not the default", "", ["BTRFS_FS", "DEBUG_INFO", "LOCALVERSION"]),
        ],
    )
    def test_config(self, page: Page, chip: str, words: str, found: list[str]) -> None:
        page.chip("config", chip)
        assert page.search("config", words) == [f"CONFIG_{name}" for name in found]

    def test_the_name_itself_comes_first(self, page: Page) -> None:
        page.search("modules", "libcrc32c")
        assert page.text("#modules-table .opens") == "libcrc32c"

    def test_sorting(self, page: Page) -> None:
        page.one("#modules-table th:nth-child(4) button").click()
        assert page.text("#modules-table .opens") == "btrfs"
        assert page.one("#modules-table th:nth-child(4)").get_attribute("aria-sort") == "descending"

    def test_a_row_opens_and_leads_on(self, page: Page) -> None:
        page.search("modules", "btrfs")
        opener = page.one("#modules-table .opens")
        opener.send_keys(Keys.ENTER)
        assert opener.get_attribute("aria-expanded") == "true"
        assert "1,500,000 bytes" in page.text("#modules-table .detail")
        next(link for link in page.all(".detail .link") if link.text == "libcrc32c").click()
        assert [each.text for each in page.all("#modules-table .opens")] == ["libcrc32c"]

    def test_thousands(self, page: Page, tmp_path: Path) -> None:
        """4,000 modules: rows are made as they are needed, and every one is found."""
        modules = {f"kernel/drivers/d{n % 40}/m{n}.ko": {"package": "main", "size": n + 1} for n in range(4000)}
        root = write_release(tmp_path / "dist")
        write_json(root / "build.json", build_facts(modules))
        page.show(write_report(root))
        assert page.text("#modules .found").startswith("4,000 modules")
        assert 0 < len(page.all("#modules-table tbody tr")) < 400
        assert page.search("modules", "m3999") == ["m3999"]
        page.search("modules", "")
        page.run("for (const more = document.querySelector('#modules .more'); !more.hidden; ) more.click()")
        assert len(page.all("#modules-table tbody tr")) == 4000


class TestLooks:
    @pytest.mark.parametrize("dark", [False, True])
    @pytest.mark.parametrize("size", [PHONE, DESK])
    def test_contrast(self, page: Page, report: Path, size: tuple[int, int], dark: bool) -> None:
        page.show(report, size, dark=dark)
        page.search("modules", "crc32c")
        page.open_all()
        assert page.run(CONTRAST) == []

    def test_dark(self, page: Page, report: Path) -> None:
        light = page.run("return getComputedStyle(document.body).backgroundColor")
        page.show(report, dark=True)
        dark = page.run("return getComputedStyle(document.body).backgroundColor")
        assert (light, dark) == ("rgb(246, 247, 248)", "rgb(18, 21, 24)")

    def test_a_phone_needs_no_scrolling_to_the_side(self, page: Page, report: Path) -> None:
        page.show(report, PHONE)
        for _ in range(2):
            assert page.run("return document.documentElement.scrollWidth") == PHONE[0]
            outside = """
                const inner = (node) => node.closest(".chips, .nav, pre, .visually-hidden, .skip");
                return [...document.querySelectorAll("body *")].filter((node) => node.checkVisibility() && !inner(node)
                  && node.getBoundingClientRect().right > innerWidth + 1).map((node) => node.outerHTML.slice(0, 80))"""
            assert page.run(outside) == []
            page.open_all()

    def test_a_phone_shows_what_the_columns_are(self, page: Page, report: Path) -> None:
        page.show(report, PHONE)
        page.search("modules", "iwlwifi")
        label = "return getComputedStyle(arguments[0], '::before').content"
        cells = page.all("#modules-table tbody td[data-label]")
        assert [page.run(label, cell) for cell in cells[:2]] == ['"Package "', '"Config option "']


class TestSafety:
    def test_hostile_names_stay_text(self, page: Page, tmp_path: Path) -> None:
        root = write_release(tmp_path / "dist")
        path = f"kernel/fs/{HOSTILE}.ko"
        modules = {path: {"package": "main", "size": 1, "firmware": [HOSTILE], "option": HOSTILE, "depends": [path]}}
        facts = build_facts(modules, notices=[{"kind": HOSTILE, "what": HOSTILE, "where": HOSTILE}])
        facts["config"]["asked"]["CONFIG_HZ"]["value"] = HOSTILE
        facts["stages"][0]["title"] = HOSTILE
        write_json(root / "build.json", facts)
        write_json(root / "verify.json", {"checks": [{"name": HOSTILE, "status": "failed", "saw": HOSTILE}]})
        write_json(root / "boot.json", {"ok": False, "modules": [{"path": path, "outcome": HOSTILE}]})
        page.show(write_report(root))
        page.search("modules", HOSTILE)
        page.open_all()
        assert page.driver.title == f"Linux {V} (x86)"
        assert page.all("img, iframe, svg, main script, header script") == []
        assert HOSTILE in page.text("#notices")
        assert HOSTILE in page.text("#modules-table")
        assert page.logs() == []

    def test_it_asks_for_nothing(self, page: Page, report: Path) -> None:
        page.loads()
        page.show(report)
        page.open_all()
        assert [url for url in page.loads() if not url.startswith("data:")] == [report.as_uri()]

    def test_it_could_not_if_it_wanted_to(self, page: Page) -> None:
        refused = """
            const done = arguments[0];
            document.addEventListener("securitypolicyviolation", (event) => done(event.effectiveDirective));
            fetch("http://127.0.0.1:9/").catch(() => {});"""
        assert page.driver.execute_async_script(refused) == "connect-src"
        assert (
            page.run(
                "const it = document.createElement('script'); it.text = 'document.title = 1'; document.body.append(it);"
                "return document.title"
            )
            == f"Linux {V} (x86)"
        )
        page.logs()
