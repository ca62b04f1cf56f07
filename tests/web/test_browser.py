"""The way of people through the pages, in a real browser: from the alert to the finding, on a screen and on a phone."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pytest
from lvo_tests_servers import web

from lvo.delivery import DeliverySettings, Outbox, deliver_due, hand_over, read_parcel
from lvo.delivery.settings import WebhookNotification
from lvo.eventlog import EventKind
from lvo.web.accounts import Accounts
from lvo.web.settings import WebSettings

playwright = pytest.importorskip("playwright.sync_api")

PASSWORD = "correct horse battery"  # noqa: S105 - of a made-up account
PATIENCE_MS = 120_000
FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Chromium of the distribution, with software rendering."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium here")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Opens pages; whatever they complain about fails the test."""
    complaints, contexts = [], []

    def page(url: str, *, complains: bool = True, asked: list[str] | None = None, **options: object):
        context = browser.new_context(viewport=options.pop("viewport", {"width": 1400, "height": 1000}), **options)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if asked is not None:
            page.on("request", lambda request: asked.append(request.url))
        if complains:
            page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.goto(url)
        return page

    yield page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def study_page(open_server, open_page, serving):
    """Opens a study and waits for its angiogram."""

    def opened(name: str = "suspected", **options: object):
        page = open_page(f"{open_server.url}/study.html#{serving.key(name)}", **options)
        page.wait_for_selector(".angiogram[data-ready]")
        return page

    return opened


def serious(page) -> list[str]:
    """What axe-core finds that is serious or critical."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in {"serious", "critical"}]


def coloured(page, selector: str) -> tuple[int, int]:
    """Pixels in the colour of the middle cerebral artery in the left and the right half of a canvas."""
    script = """(canvas) => {
      const { width, height } = canvas, data = canvas.getContext('2d').getImageData(0, 0, width, height).data
      const halves = [0, 0]
      for (let at = 0; at < data.length; at += 4) {
        const red = data[at] > 140 && data[at + 1] < 0.6 * data[at] && data[at + 2] < 0.6 * data[at]
        if (red) halves[(at / 4 % width) < width / 2 ? 0 : 1] += 1
      }
      return halves
    }"""
    left, right = page.eval_on_selector(selector, script)
    return left, right


def test_from_the_alert_to_the_finding_to_the_acknowledgement(open_server, open_page, results, serving):
    aside = shutil.move(results / serving.UIDS["suspected"], results.parent / "aside")
    page = open_page(open_server.url)
    page.wait_for_selector("tbody tr")
    assert "Occlusion suspected" not in page.inner_text("tbody")
    shutil.move(aside, results / serving.UIDS["suspected"])
    page.click(".alert a")
    page.wait_for_selector(".angiogram[data-ready]")
    assert page.inner_text("h1") == "▲ Occlusion suspected: left M1"
    assert page.evaluate("document.querySelector('img.first').naturalWidth") > 0
    assert "not validated on patients" in page.inner_text(".limits").lower()
    page.click("#acknowledge")
    page.wait_for_selector("text=Seen by local")
    page.click("text=← Worklist")
    page.wait_for_selector("tbody tr.seen")
    assert "local" in page.inner_text("tbody tr.seen")
    assert serving.UIDS["suspected"] not in page.url
    kinds = [line["kind"] for line in serving.audit_lines(open_server.state)]
    assert kinds == ["viewed", "acknowledged"]


def test_the_link_of_the_alarm_leads_to_the_finding_and_back_through_signing_in(results, tmp_path, open_page, serving):
    accounts = Accounts(tmp_path / "state")
    accounts.put("anna", "reader", PASSWORD)
    (tmp_path / "secret").write_text("a secret of many bytes")
    with serving.running(results, tmp_path / "state", WebSettings(), needs_accounts=True) as server, web() as alarms:
        hook = WebhookNotification(name="hook", url=alarms.url, secret_file=str(tmp_path / "secret"))
        settings = DeliverySettings(viewer_url=server.url, notifications=(hook,))
        with Outbox(tmp_path / "outbox.sqlite") as outbox:
            hand_over(outbox, settings, read_parcel(results / serving.UIDS["suspected"]), at=datetime.now(UTC))
            assert deliver_due(outbox, settings).delivered == 1
        link = json.loads(alarms.got[0][3])["viewer"]
        assert serving.UIDS["suspected"] not in link
        page = open_page(link, complains=False)  # the browser itself says that nobody is signed in
        page.wait_for_selector("#name")
        page.fill("#name", "anna")
        page.fill("#password", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector(".angiogram[data-ready]")
        assert page.inner_text("h1") == "▲ Occlusion suspected: left M1"
        page.click("#acknowledge")
        page.wait_for_selector("text=Seen by anna")
        page.close()
    kinds = [(line["kind"], line["facts"]["by"]) for line in serving.audit_lines(tmp_path / "state")]
    assert kinds == [("signed_in", "anna"), ("viewed", "anna"), ("acknowledged", "anna")]


def test_a_refused_study_shows_why_and_its_images(study_page):
    page = study_page("refused")
    assert "Could not be judged" in page.inner_text("h1")
    assert "send the thin series" in page.inner_text(".headline")
    assert "This is not a negative result" in page.inner_text(".headline")
    assert "probability" not in page.inner_text(".headline")
    assert page.locator(".pane canvas").count() == 3


def test_two_people_see_each_other_at_once(results, tmp_path, open_page, serving):
    accounts = Accounts(tmp_path / "state")
    for name in ("anna", "bert"):
        accounts.put(name, "reader", PASSWORD)
    with serving.running(results, tmp_path / "state", WebSettings(), needs_accounts=True) as server:
        pages = []
        for name in ("anna", "bert"):
            page = open_page(f"{server.url}/signin.html")
            page.fill("#name", name)
            page.fill("#password", PASSWORD)
            page.click("button.primary")
            page.wait_for_selector("tbody tr")
            pages.append(page)
        anna, bert = pages
        anna.click("tbody tr:first-child a")
        anna.click("#disagree")
        anna.select_option("#reason", "other_side")
        assert serious(anna) == []
        anna.click("dialog button.primary")
        anna.wait_for_selector("text=anna disagrees")
        anna.click("#acknowledge")
        bert.wait_for_selector("tbody tr.seen >> text=anna")
        assert "anna disagrees" in bert.inner_text("tbody")
        for page in pages:
            page.close()


def test_left_and_right_are_those_of_the_patient(study_page):
    page = study_page()
    page.wait_for_selector(".pane.axial canvas")
    page.keyboard.press("m")
    page.wait_for_selector(".pane.axial.mirrored canvas")
    page.wait_for_timeout(500)
    plain_left, plain_right = coloured(page, ".pane.axial:not(.mirrored) canvas")
    mirror_left, mirror_right = coloured(page, ".pane.axial.mirrored canvas")
    assert plain_left > 1.5 * plain_right, "the left M1 stops, so the image's right has less of it"
    assert mirror_right > 1.5 * mirror_left
    labels = page.eval_on_selector_all(".pane canvas", "all => all.map(canvas => canvas.getAttribute('aria-label'))")
    assert "patient's right at the left" in labels[0]
    assert "patient's left at the left" in labels[1]


def test_everything_can_be_done_by_keyboard(study_page):
    page = study_page()
    caption = page.locator(".pane.axial figcaption")
    first = caption.inner_text()
    page.keyboard.press("ArrowUp")
    playwright.expect(caption).not_to_have_text(first)
    page.keyboard.press("j")
    playwright.expect(caption).to_have_text(first)
    page.keyboard.press("]")
    playwright.expect(caption).to_contain_text("25 mm MIP")
    page.keyboard.press("3")
    assert page.input_value("#window") == "Brain"
    page.keyboard.press("a")
    page.wait_for_timeout(500)
    assert sum(coloured(page, ".pane.axial canvas")) == 0
    page.focus("#acknowledge")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Seen by local")


def greys(page) -> np.ndarray:
    """Green of the axial picture, (rows, columns)."""
    script = """(canvas) => {
      const { width, height } = canvas, data = canvas.getContext('2d').getImageData(0, 0, width, height).data
      return [height, width, Array.from({ length: width * height }, (_, at) => data[4 * at + 1])]
    }"""
    height, width, values = page.eval_on_selector(".pane.axial canvas", script)
    return np.array(values, float).reshape(height, width)


def test_the_voxels_of_the_scan_come_after_the_display_resolution_and_lie_at_the_same_place(study_page):
    page = study_page()
    pane = page.locator(".pane.axial")
    page.wait_for_selector(".angiogram[data-full]")
    playwright.expect(pane).to_have_attribute("data-resolution", "scan")
    full, caption = greys(page), pane.locator("figcaption").inner_text()
    page.evaluate("window.setTimeout = () => 0")  # from here on the pictures never come to rest
    page.keyboard.press("ArrowUp")
    playwright.expect(pane).to_have_attribute("data-resolution", "display")
    page.keyboard.press("ArrowDown")
    playwright.expect(pane.locator("figcaption")).to_have_text(caption)
    display = greys(page)
    away = [np.abs(full - other).mean() for other in (display[:, ::-1], display[::-1], np.roll(display, 20, axis=1))]
    assert 0.0 < np.abs(full - display).mean() < 0.5 * min(away)


def test_a_phone_loads_them_only_when_asked(study_page):
    asked: list[str] = []
    page = study_page(viewport=PHONE, has_touch=True, is_mobile=True, asked=asked)
    page.wait_for_timeout(500)
    assert [url.rsplit("/", 1)[-1] for url in asked if "/preview/cta" in url] == ["cta.nii.gz"]
    page.click("#full")
    page.wait_for_selector(".angiogram[data-full]")
    assert [url.rsplit("/", 1)[-1] for url in asked if "/preview/cta" in url] == ["cta.nii.gz", "cta_full.nii.gz"]


def test_perfusion_shows_maps_curves_and_numbers(study_page):
    page = study_page()
    page.click("#tab-ctp")
    page.wait_for_selector(".perfusion [data-drawn]")
    words = page.inner_text(".perfusion")
    assert "Core (rCBF < 30 %)" in words
    assert page.locator(".curves polyline").count() == 2
    page.click("#tab-details")
    words = page.inner_text(".details")
    assert "DEFUSE 3" in words
    assert "Motion between frames" in words
    assert "cannot rule out an occlusion" in words


def test_centres_are_shown_on_the_clock_of_the_service_where_configured(results, study_page, serving):
    path = results / serving.UIDS["suspected"] / "result.json"
    document = json.loads(path.read_text())
    assert document["transfer"] is None, "off until configured"
    row = {
        "code": "A", "name": "Centre A", "opening": "open", "drive_min": 42.4, "arrival": "2026-03-01T22:30:00Z",
        "puncture": "2026-03-01T23:10:00Z", "opens": None, "price": None, "no_price": "wake-up", "doubts": ["a long way"],
    }  # fmt: skip
    now = "2026-03-01T22:45:00+01:00"
    document["transfer"] = {"site": "B", "site_name": "B", "now": now, "destinations": [row], "assumptions": ["By road."]}
    path.write_text(json.dumps(document))
    page = study_page()
    page.click("#tab-details")
    words = page.inner_text(".details")
    for part in ("Centre A", "42 min", "23:30", "00:10", "a long way", "By road.", "Worked out at 22:45", "no advice"):
        assert part in words, part


@pytest.mark.parametrize("place", ["", "study.html", "signin.html"])
def test_pages_have_no_serious_accessibility_findings(results, tmp_path, open_page, serving, place):
    needs_accounts = place == "signin.html"
    with serving.running(results, tmp_path / "state", WebSettings(patient="full"), needs_accounts=needs_accounts) as server:
        page = open_page(f"{server.url}/{place}" + (f"#{serving.key('suspected')}" if place == "study.html" else ""))
        page.wait_for_selector("#page[aria-busy=false]")
        if place == "study.html":
            page.wait_for_selector(".angiogram[data-ready]")
        assert serious(page) == []
        for tab in page.locator("[role=tab]").all():
            tab.click()
            assert serious(page) == []
        page.close()


@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 800}, PHONE], ids=["screen", "phone"])
def test_the_audit_log_is_for_admins_and_says_whether_its_chain_is_whole(results, tmp_path, open_page, serving, viewport):
    Accounts(tmp_path / "state").put("boss", "admin", PASSWORD)
    with serving.running(results, tmp_path / "state", WebSettings(), needs_accounts=True) as server:
        journal = server.app.state.context.journal
        for n in range(120):
            journal.note(EventKind.VIEWED, "anna", case=f"1.2.{n}")
        page = open_page(f"{server.url}/audit.html", complains=False, viewport=viewport)
        page.fill("#name", "boss")
        page.fill("#password", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector("text=The chain is whole: 121 lines")
        assert page.locator("tbody tr").count() == 100
        page.click("#older")
        playwright.expect(page.locator("tbody tr")).to_have_count(21)
        assert page.is_disabled("#older")
        page.click("tbody tr:first-child button")
        playwright.expect(page.locator("tbody tr")).to_have_count(1)
        page.fill("#study", "")
        page.select_option("#filter", "people")
        playwright.expect(page.locator("tbody")).to_contain_text("signed in")
        assert serious(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        log = server.state / "audit.jsonl"
        log.write_bytes(log.read_bytes().replace(b"anna", b"carl", 1))
        page.select_option("#filter", "all")
        page.wait_for_selector("text=The chain is broken after 0 lines")
        page.close()


@pytest.mark.parametrize("place", ["", "study.html"])
def test_a_phone_shows_everything_without_scrolling_sideways(open_server, open_page, serving, place):
    url = f"{open_server.url}/{place}" + (f"#{serving.key('suspected')}" if place else "")
    page = open_page(url, viewport=PHONE, has_touch=True, is_mobile=True, device_scale_factor=2)
    page.wait_for_selector(".angiogram[data-ready]" if place else "tbody tr")
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    if place:
        boxes = [box.bounding_box() for box in page.locator(".pane canvas").all()]
        assert all(box["width"] > 340 for box in boxes)
        assert boxes[0]["y"] < boxes[1]["y"] < boxes[2]["y"]
    small = page.eval_on_selector_all(
        "button, select, a.state, [role=tab]", "all => all.filter(one => one.offsetHeight > 0 && one.offsetHeight < 32).length"
    )
    assert small == 0, "fingers need room"
