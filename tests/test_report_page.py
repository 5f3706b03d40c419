"""The HTML report in a real browser, opened from disk."""

import re
import shutil
from pathlib import Path

import pytest
from reports import HOSTILE, hostile_runs
from test_reading import edit, folders

from nst_lab.comparison.command import command
from nst_lab.comparison.compare import compare
from nst_lab.comparison.reading import load_runs


@pytest.fixture
def visit(chromium):
    """Open a report at an address; a page that fails the test if its console says anything or it asks for a network."""
    said, contexts = [], []

    def open_page(path, address="", **options):
        context = chromium.new_context(viewport={"width": 1400, "height": 1000}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
        page.goto(f"{path.as_uri()}#{address}")
        page.wait_for_selector("#sources figure")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


def wait_until(page, expression):
    """As the browser's own waiting, which the page's security policy forbids: it would evaluate text."""
    for _ in range(1000):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(20)
    raise AssertionError(expression)


def tile_texts(page):
    return page.locator("#matrix .tile .caption").all_inner_texts()


def test_the_matrix_shows_the_runs_over_two_settings_and_marks_the_best(reported, visit):
    page = visit(reported)
    assert page.locator("#matrix thead th[scope=col]").all_inner_texts() == ["1", "10"]
    rows = [text.strip() for text in page.locator("#matrix tbody th").all_inner_texts()]
    assert rows == ["starry_strokes", "woodcut_waves"]
    assert page.locator("#matrix .tile").count() == 4
    assert page.locator("#sources figure").count() == 3
    comparison = compare(load_runs(reported.parent))
    best = comparison.best(0.2)
    text = page.locator("#matrix .tile.best").inner_text()
    assert f"style {comparison.table.at[best, 'style']:.3f} ± 0.014" in text
    assert "★ best" in text
    assert "2 seeds" in text
    assert page.locator("#matrix .tile.beyond").count() == 2


def test_axes_filters_and_folding_are_chosen_on_the_page(reported, visit):
    page = visit(reported)
    page.get_by_label("rows", exact=True).select_option("loss.content_weight")
    assert page.locator("#matrix thead th[scope=col]").all_inner_texts()[0].strip() == "starry_strokes"
    page.get_by_label("fold repeats", exact=True).uncheck()
    assert page.locator("#matrix .tile").count() == 8
    page.get_by_label("columns", exact=True).select_option("seed")
    assert page.locator("#matrix thead th[scope=col]").all_inner_texts() == ["0", "1"]
    page.get_by_label("only content_weight", exact=True).select_option(label="10")
    assert page.locator("#matrix .tile").count() == 4
    page.get_by_label("rows", exact=True).select_option("")
    page.get_by_label("columns", exact=True).select_option("")
    assert page.locator("#matrix .gallery .tile").count() == 4
    page.reload()
    page.wait_for_selector("#matrix .gallery")
    assert page.locator("#matrix .gallery .tile").count() == 4  # the address keeps the view


def test_the_bound_moves_the_best_by_keyboard(reported, visit):
    page = visit(reported)
    comparison = compare(load_runs(reported.parent))
    bound = page.locator("#bound")
    bound.focus()
    page.keyboard.press("End")
    assert f"style {comparison.table.at[comparison.best(), 'style']:.3f}" in page.locator("#best").inner_text()
    page.keyboard.press("Home")
    assert f"style {comparison.table.at[comparison.best(0.2), 'style']:.3f}" in page.locator("#best").inner_text()
    assert page.evaluate("document.activeElement.id") == "bound"


def test_a_run_opens_large_and_arrow_keys_lead_from_run_to_run(reported, visit):
    page = visit(reported)
    page.locator("#matrix .open[tabindex='0']").focus()
    first = page.evaluate("label(current)")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.closest('.tile').classList.contains('best')")
    page.keyboard.press("Enter")
    dialog = page.locator("dialog#run")
    assert dialog.is_visible()
    assert first in dialog.locator("h2").inner_text()
    wait_until(page, "document.querySelector('#run img.large').naturalWidth === 32")  # result.png, by its link
    assert page.locator("#run img.large").get_attribute("src").endswith("/result.png")
    assert page.locator("#curves .scatterlayer .trace").count() >= 2
    assert "nst-lab " in page.locator("#run .command").inner_text()
    assert page.locator("#run .strip figure").count() == 2
    page.keyboard.press("ArrowRight")
    assert "content_weight 10" in page.locator("#run h2").inner_text()
    page.keyboard.press("ArrowDown")
    assert "woodcut_waves" in page.locator("#run h2").inner_text()
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    wait_until(page, "label(current).includes('woodcut_waves')")  # the page hears of the end of a dialog later
    assert page.evaluate("document.activeElement.className") == "open"


def test_two_runs_are_compared_by_keyboard_alone(reported, visit):
    page = visit(reported)
    page.locator("#matrix .open[tabindex='0']").focus()
    page.keyboard.press("c")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("c")
    assert page.locator("#tray .picked").count() == 2
    page.keyboard.press("Enter")
    assert page.locator("dialog#slider").is_visible()
    clip = "getComputedStyle(document.querySelector('.frame img.left')).clipPath"
    before = page.evaluate(clip)
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.getElementById('divider').value") == "52"
    assert page.evaluate(clip) != before
    assert page.locator("#slider .differences tbody").first.inner_text().split() == ["loss.content_weight", "1", "10"]
    wait_until(page, "[...document.querySelectorAll('.frame img')].every((image) => image.naturalWidth === 32)")
    page.keyboard.press("n")
    assert page.evaluate("pair[0] !== pair[1]")
    page.keyboard.press("Escape")
    assert not page.locator("dialog#slider").is_visible()


def test_the_trade_off_shows_frontier_thumbnails_and_bound(reported, visit):
    page = visit(reported, "tab=pareto")
    page.wait_for_selector("#plot .scatterlayer .trace")
    comparison = compare(load_runs(reported.parent))
    assert page.locator("#frontier .tile").count() == len(comparison.frontier())
    assert page.locator("#plot .imagelayer image").count() == 4
    assert page.locator("#plot .shapelayer path").count() == 1
    page.get_by_label("across", exact=True).select_option("seconds")
    page.get_by_label("log across", exact=True).check()
    page.wait_for_selector("#plot .scatterlayer .trace")
    assert "seconds" in page.locator("#plot .xtitle").text_content()


def test_the_table_sorts_by_any_column(reported, visit):
    page = visit(reported, "tab=table")
    assert page.locator("th[aria-sort]").inner_text().startswith("style")
    page.locator("th button", has_text="ssim").click()
    shown = [float(text.split()[0]) for text in page.locator("tbody td:nth-child(6)").all_inner_texts()]
    assert shown == sorted(shown, reverse=True)
    page.keyboard.press("Enter")
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
    assert "total_loss compares runs of the same loss" in page.locator("#table").inner_text()


def test_hostile_names_are_inert(sweep, visit):
    hostile_runs(sweep)
    assert command([str(sweep)]) == 0
    page = visit(sweep / "report.html")
    for tab in ("pareto", "table", "matrix"):
        page.locator(f"#tab-{tab}").click()
    page.locator("#tab-pareto").click()
    page.get_by_label("colour", exact=True).select_option("style.images")
    page.wait_for_selector("#plot .legendtext")
    assert HOSTILE in page.locator("#plot .legendtext").first.text_content()
    page.locator("#tab-matrix").click()
    page.evaluate("openRun(units()[0])")
    page.wait_for_selector("#run .command")
    assert HOSTILE in page.locator("#run .facts").inner_text()
    page.evaluate("byId('run').close(); openSlider(...units().slice(0, 2))")
    page.wait_for_selector("#slider .frame")
    assert page.evaluate("window.harmed") is None
    assert page.locator("body script:not([type])").count() == 10
    assert page.locator("[onerror]").count() == 0


def test_unfinished_runs_are_in_their_place_with_the_reason(sweep, visit):
    edit(folders(sweep)[0], lambda manifest: manifest.update(status="failed", error="out of memory"))
    (sweep / "notes").mkdir()
    assert command([str(sweep)]) == 0
    page = visit(sweep / "report.html")
    assert "failed: out of memory" in page.locator("#matrix .tile.failed").inner_text()
    page.locator("#problems summary").click()
    assert "not a run" in page.locator("#problems").inner_text()


def test_runs_from_before_distances_have_a_report(sweep, visit):
    for folder in folders(sweep):
        edit(folder, lambda manifest: manifest.pop("distances"))
    assert command([str(sweep)]) == 0
    page = visit(sweep / "report.html")
    assert page.locator("#matrix .tile").count() == 4
    assert not page.locator("#tab-pareto").is_visible()
    assert not page.locator("#bound-control").is_visible()


def test_one_run_has_a_report(swept, tmp_path, visit):
    one = shutil.copytree(folders(swept)[0], tmp_path / "one")
    assert command([str(one)]) == 0
    page = visit(one / "report.html")
    assert page.locator("#matrix .tile").count() == 1
    page.locator("#matrix .open").click()
    assert page.locator("dialog#run").is_visible()


def test_a_report_that_was_moved_away_still_shows_its_thumbnails(reported, tmp_path, visit):
    page = visit(Path(shutil.copy(reported, tmp_path / "alone.html")))
    shown = "[...document.querySelectorAll('#matrix img')]"
    wait_until(page, f"{shown}.every((image) => image.src.startsWith('data:') && image.naturalWidth)")


def test_500_runs_are_shown_within_seconds(crowd, visit):
    page = visit(crowd, "fold=false")
    assert page.locator("#matrix .tile").count() == 500
    drawn = "refresh(); document.body.offsetHeight"  # asking for the height makes the browser lay it out
    timed = f"const start = performance.now(); {drawn}; return performance.now() - start;"
    milliseconds = page.evaluate(f"() => {{ {timed} }}")
    assert milliseconds < 2000  # 70 ms on a machine that does little else
    page.locator("#tab-table").click()
    assert page.locator("#table tbody tr").count() == 500


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_keeps_to_the_colours_of_the_system(reported, visit, scheme):
    page = visit(reported, color_scheme=scheme)
    red = int(re.search(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor")).group())
    assert (red > 128) == (scheme == "light")
