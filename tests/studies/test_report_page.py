"""The report's page as a reader has it, in headless Chromium: opened from its file, offline, on a phone and on a desk."""

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
import reported

from bounds import CATALOGUE
from studies import report
from studies.reporting.content import Report, Section, grid
from studies.reporting.ledgers import claim_id, statement
from studies.reporting.page import page as written

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e .[test]")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("there is no chromium: apt-get install chromium", allow_module_level=True)

PHONE, DESK = 400, 1400
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

OUTSIDE = """[...document.querySelectorAll("main *")].filter(e => !e.closest(".scroll, .card"))
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
LOST = """[...document.querySelectorAll("a[href^='#']")]
    .filter(a => !document.getElementById(decodeURIComponent(a.hash.slice(1)))).map(a => a.hash)"""


@pytest.fixture(scope="module")
def browser():
    flags = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # root has none
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    root = tmp_path_factory.mktemp("page")
    folders = [*reported.sound(root / "results"), root / "results" / "tightness" / "default"]  # the last is missing
    return report.build(folders, root / "out")[0]


@pytest.fixture
def opened(browser, path):
    """Return a function that opens the page; afterwards nothing may have gone wrong."""
    heard, contexts = [], []

    def open_page(width=DESK, scheme="light", file=path):
        window = {"viewport": {"width": width, "height": 900}, "is_mobile": width == PHONE}  # a phone heeds the page's viewport
        context = browser.new_context(**window, color_scheme=scheme, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: heard.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("requestfailed", lambda request: heard.append(f"failed: {request.url[:200]}"))
        page.on(
            "request", lambda request: heard.append(request.url) if not request.url.startswith((file.as_uri(), "data:")) else None
        )
        page.goto(file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not heard


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_the_page_opens_without_an_error_and_fits_its_window(opened, width, scheme):
    page = opened(width, scheme)
    page.wait_for_load_state("load")
    assert page.evaluate("innerWidth") == width  # not a page for a desk, made small
    assert page.evaluate(OVERFLOW) <= 0
    assert page.evaluate(OUTSIDE) == []
    assert page.locator("figure svg").count() > 10


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_the_check_for_overflow_sees_one(opened, width):
    page = opened(width)
    page.evaluate("document.querySelector('main').insertAdjacentHTML('beforeend', '<div style=\"width: 2000px\">x</div>')")
    assert page.evaluate(OVERFLOW) > 0


def values(page, grid, column):
    cells = page.locator(f"[id='{grid}'] tbody tr td:nth-child({column + 1})")
    return cells.evaluate_all("cells => cells.map(cell => cell.dataset.v ?? cell.textContent.trim())")


def headers(page, grid):
    return [text.strip() for text in page.locator(f"[id='{grid}'] thead button").all_text_contents()]


@pytest.mark.parametrize("column", ["claim", "status", "usage", "certified", "least"])
def test_a_click_sorts_a_table_by_its_column_and_another_turns_it(opened, column):
    page, grid = opened(), "verify-default.summary"
    k = headers(page, grid).index(column)
    numeric = column in ("usage", "certified", "least")
    key = (lambda value: float(value)) if numeric else (lambda value: value.lower())
    before = values(page, grid, k)
    button = page.locator(f"[id='{grid}'] thead button").nth(k)
    button.click()
    rising = values(page, grid, k)
    assert rising == sorted(before, key=key)
    button.click()
    assert [key(value) for value in values(page, grid, k)] == sorted(map(key, before), reverse=True)
    marks = "heads => heads.map(head => head.getAttribute('aria-sort'))"
    head = page.locator(f"[id='{grid}'] thead th")
    assert head.evaluate_all(marks) == ["descending" if i == k else "none" for i in range(head.count())]
    if len(set(before)) > 2:
        assert before not in (rising, rising[::-1])  # or the test would show nothing
    other = (k + 1) % head.count()
    head.locator("button").nth(other).click()
    assert head.evaluate_all(marks) == ["ascending" if i == other else "none" for i in range(head.count())]


def test_rows_stay_whole_and_empty_cells_go_last(opened):
    page, grid = opened(), "theorems.table"
    rows = "rows => rows.map(row => row.textContent)"
    whole = sorted(page.locator(f"[id='{grid}'] tbody tr").evaluate_all(rows))
    k = headers(page, grid).index("usage")
    given = values(page, grid, k)
    missing = given.count("")
    assert missing
    assert "" in given[: len(given) - missing]  # they do not stand last by themselves
    known = sorted(float(value) for value in given if value)
    assert len(set(known)) > 2
    for expected in (known, known[::-1]):
        page.locator(f"[id='{grid}'] thead button").nth(k).click()
        shown = values(page, grid, k)
        assert [float(value) for value in shown[:-missing]] == expected
        assert shown[-missing:] == [""] * missing
        assert sorted(page.locator(f"[id='{grid}'] tbody tr").evaluate_all(rows)) == whole


def test_the_keyboard_sorts_too(opened):
    page, grid = opened(), "verify-default.summary"
    k = headers(page, grid).index("usage")
    button = page.locator(f"[id='{grid}'] thead button").nth(k)
    button.focus()
    page.keyboard.press("Enter")
    assert values(page, grid, k) == sorted(values(page, grid, k), key=float)
    assert page.locator(f"[id='{grid}'] thead th").nth(k).get_attribute("aria-sort") == "ascending"


def test_every_link_goes_to_a_place_that_is_there(opened):
    page = opened()
    assert page.evaluate(LOST) == []
    page.locator("nav a", has_text="Errata").click()
    page.wait_for_function("Math.abs(document.getElementById('errata').getBoundingClientRect().top) < 100")
    page.locator("#errata a[href='#claim-G11']").first.click()
    assert page.evaluate("document.querySelector(':target').cells[0].textContent") == "G11"


def background(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_light_and_dark_by_preference_and_by_the_button(opened):
    light, dark = opened(scheme="light"), opened(scheme="dark")
    assert background(light) != background(dark)
    assert [page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor") for page in (light, dark)] == [
        "rgb(255, 255, 255)"
    ] * 2
    was = background(dark)
    dark.locator("button.theme").click()
    assert background(dark) == background(light)
    dark.reload()
    assert background(dark) == background(light)  # it remembers
    dark.locator("button.theme").click()
    assert background(dark) == was


def test_contents_are_open_on_a_desk_and_folded_on_a_phone(opened):
    assert opened(DESK).evaluate("document.querySelector('nav details').open")
    assert not opened(PHONE).evaluate("document.querySelector('nav details').open")


def test_figures_speak_and_show_themselves(opened):
    page = opened(PHONE)
    figures = page.locator("figure")
    for i in range(figures.count()):
        card = figures.nth(i).locator(".card")
        assert len(card.get_attribute("aria-label")) > 60
        box = card.locator("svg").bounding_box()
        assert box["width"] > 300
        assert box["height"] > 100
        assert "python studies/run.py" in figures.nth(i).locator("figcaption").inner_text()
    missing = (
        "[...document.querySelectorAll('svg use')].filter(u => !document.getElementById(u.getAttribute('href').slice(1))).length"
    )
    assert page.locator("svg use").count() > 1000
    assert page.evaluate(missing) == 0


def test_all_formulas_are_set_not_written_out(opened, tmp_path):
    table = pd.DataFrame({"claim": list(CATALOGUE), "formula": [statement(c.id, c.formula) for c in CATALOGUE.values()]})
    ids = [claim_id(claim) for claim in table["claim"]]
    claims = Section("claims", "Claims", (grid("claims.table", table, "All.", math=["formula"], anchors=ids),))
    file = tmp_path / "formulas.html"
    file.write_text(written(Report("Formulas", "", (claims,))))
    page = opened(file=file)
    assert page.locator("td.math math").count() == len(CATALOGUE)
    assert page.locator("code[title]").count() == 0
    shown = "all => all.map(math => [math.getBoundingClientRect().height, math.textContent])"
    for height, text in page.locator("td.math math").evaluate_all(shown):
        assert 8 < height < 120, text
        assert "\\" not in text
    fraction = page.locator("[id='claim-kl-trpo'] mfrac").first
    over, under = (fraction.locator(f":scope > :nth-child({i})").bounding_box() for i in (1, 2))
    assert over["y"] + over["height"] <= under["y"] + 2
    letter, bar = (page.locator(f"[id='claim-cpi-span'] mfrac mover > :nth-child({i})").bounding_box() for i in (1, 2))
    assert bar["y"] < letter["y"]


def test_data_is_downloaded_from_the_page_itself(opened):
    page = opened()
    with page.expect_download() as waiting:
        page.locator("a[download='verify-default.summary.csv']").click()
    text = Path(waiting.value.path()).read_text()
    assert text.splitlines()[0].startswith("claim,kind,status")
    assert len(text.splitlines()) == 1 + len(reported.CLAIMS)


def test_what_is_missing_is_told_on_the_page(opened):
    page = opened(PHONE)
    notice = page.locator("#tightness .notice")
    assert "does not exist" in notice.inner_text()
    assert "python studies/run.py study=tightness" in notice.inner_text()
