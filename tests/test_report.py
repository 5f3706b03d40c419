"""The HTML report: what its one file holds, and how it behaves in a real browser, opened from disk."""

import base64
import hashlib
import io
import json
import re
import shlex
import shutil
from contextlib import redirect_stdout
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote

import pytest
from conftest import CHECKOUT, TINY
from hypothesis import given, settings
from hypothesis import strategies as st
from many_runs import generate
from PIL import Image
from test_reading import edit, folders

from nst_lab.app import command as nst_lab_command
from nst_lab.comparison.command import command
from nst_lab.comparison.compare import compare
from nst_lab.comparison.reading import load_runs
from nst_lab.comparison.report_data import page_data
from nst_lab.images import catalog
from nst_lab.sweeps.summary import write_summary

HOSTILE = "<script>window.harmed=1</script><img src=x onerror=window.harmed=1>"


class Page(HTMLParser):
    """The tags of a page, the texts of its scripts, and the data among them."""

    def __init__(self, path):
        super().__init__(convert_charrefs=True)
        self.tags, self.scripts, self.policy, self.open = [], [], "", None
        self.feed(path.read_text(encoding="utf-8"))
        self.data = json.loads(next(text for kind, text in self.scripts if kind == "application/json"))

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "script":
            self.open = (dict(attributes).get("type"), [])
        if dict(attributes).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attributes)["content"]

    def handle_data(self, data):
        if self.open:
            self.open[1].append(data)

    def handle_endtag(self, tag):
        if tag == "script":
            self.scripts.append((self.open[0], "".join(self.open[1])))
            self.open = None


@pytest.fixture(scope="module")
def reported(swept, tmp_path_factory):
    """A copy of the sweep with its report, not to be changed."""
    folder = shutil.copytree(swept, tmp_path_factory.mktemp("reported") / "my sweep")
    assert command([str(folder), "--max-content", "0.2"]) == 0
    return folder / "report.html"


def test_the_page_holds_every_run_with_its_settings_measures_and_curves(reported):
    data = Page(reported).data
    runs = load_runs(reported.parent)
    assert [setting["key"] for setting in data["settings"]] == runs.settings
    assert len(data["runs"]) == 8
    for index, run in enumerate(data["runs"]):
        row = runs.table.loc[index]
        assert run["measures"]["content"] == pytest.approx(row["content"], rel=1e-4)
        assert run["measures"]["peak_memory_bytes"] == pytest.approx(row["peak_memory_bytes"] / 2**20, rel=1e-4)
        values = {setting["key"]: setting["values"][at]["label"]
                  for setting, at in zip(data["settings"], run["values"], strict=True)}  # fmt: skip
        assert values["style.images"] == row["style.images"][0]
        curves = runs.curves(index)
        assert run["curves"]["evaluation"] == list(curves["evaluation"])
        assert run["curves"]["style"] == pytest.approx(list(curves["style"]), rel=1e-4)
        assert "tv" not in run["curves"]  # it is 0 throughout
        assert "seed=" in run["command"]
    assert sorted(sorted(group) for group in data["groups"]) == sorted(map(sorted, runs.repeats()))


def test_the_command_of_a_run_works_for_experiments_of_ones_own(here):
    experiments = here / "my own/experiment"
    experiments.mkdir(parents=True)
    (experiments / "five.yaml").write_text("# @package _global_\nname: five\nseed: 5\n")
    assert nst_lab_command(["--config-dir", "my own", "experiment=five", *TINY]) == 0
    assert command(["outputs/five"]) == 0
    [run] = Page(here / "outputs/five/report.html").data["runs"]
    words = shlex.split(run["command"])
    assert words[:3] == ["nst-lab", "--config-dir", str(here / "my own")]
    assert nst_lab_command([*words[1:], "seed=6"]) == 0
    assert len(list(here.glob("outputs/five/*/result.png"))) == 2


def test_thumbnails_are_in_the_page_and_full_pictures_are_linked_relatively(reported):
    for run in Page(reported).data["runs"]:
        kind, _, encoded = run["thumb"].partition(",")
        assert kind == "data:image/webp;base64"
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
            assert max(image.size) == 32
        assert (reported.parent / unquote(run["link"])).is_file()
        assert not Path(run["link"]).is_absolute()


def test_a_report_elsewhere_still_finds_the_pictures(swept, tmp_path):
    assert command([str(swept), "--html", str(tmp_path / "page.html")]) == 0
    for run in Page(tmp_path / "page.html").data["runs"]:
        assert (tmp_path / unquote(run["link"])).is_file()


def test_content_and_styles_are_there_with_their_credits(reported):
    data = Page(reported).data
    shown = {(source["kind"], source["name"]): source for source in data["sources"]}
    assert set(shown) == {("content", "chelsea"), ("style", "starry_strokes"), ("style", "woodcut_waves")}
    for (_, name), source in shown.items():
        assert source["credit"] == catalog.credit(name)
        assert source["thumb"]
        assert source["missing"] is None
    for run in data["runs"]:
        assert [data["sources"][at]["kind"] for at in run["sources"]] == ["content", "style"]


def test_a_source_that_is_gone_or_another_by_now_is_said(sweep):
    gone, other, *_ = folders(sweep)
    edit(gone, lambda manifest: manifest["config"]["content"].update(image="no/such/photo.jpg"))
    edit(other, lambda manifest: manifest["hashes"].update(content="0" * 64))
    assert command([str(sweep)]) == 0
    sources = Page(sweep / "report.html").data["sources"]
    missing = {source["image"]: source["missing"] for source in sources if source["missing"]}
    assert missing == {"no/such/photo.jpg": "not found", "chelsea": "not the picture of the run any more"}


def test_only_the_scripts_of_the_page_may_run_and_nothing_is_loaded_from_elsewhere(reported):
    page = Page(reported)
    assert "default-src 'none'" in page.policy
    for kind, text in page.scripts:
        if kind != "application/json":
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in page.policy
    assert "unsafe-eval" not in page.policy
    assert "http" not in page.policy
    own = reported.read_text(encoding="utf-8").replace(page.scripts[1][1], "")
    assert not re.findall(r"(?:src|href)=[\"']https?:", own)


def hostile_runs(sweep):
    """Settings, names, errors and credits that are markup."""
    named = [path.rename(path.with_name(f"{number}-<img src=x onerror=harmed=1>&quot;\"'"))
             for number, path in enumerate(folders(sweep))]  # fmt: skip
    for number, folder in enumerate(named):
        edit(folder, lambda manifest, number=number: (
            manifest["config"]["style"].update(images=[f"{HOSTILE}{number % 2}"]),
            manifest.update(credits=[HOSTILE, HOSTILE], overrides=[f"style={HOSTILE}"], device=HOSTILE),
        ))  # fmt: skip
    edit(named[0], lambda manifest: manifest.update(status="failed", error=HOSTILE))
    (sweep / "<script>window.harmed=1").mkdir()
    (sweep / "<b>").mkdir()
    return sweep


def test_no_name_becomes_markup(sweep):
    assert command([str(hostile_runs(sweep))]) == 0
    page = Page(sweep / "report.html")
    assert page.tags.count("script") == 11
    assert "img" not in page.tags
    assert HOSTILE in page.data["settings"][1]["values"][0]["label"]


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """The report of 500 generated runs."""
    folder = tmp_path_factory.mktemp("crowd") / "many"
    generate(folder, 500, size=64, evaluations=100)
    assert command([str(folder)]) == 0
    return folder / "report.html"


def test_500_runs_stay_below_20_megabytes(crowd):
    data = Page(crowd).data
    # Thumbnails of real pictures are larger than those of generated ones: 10 kB was the mean of 500 at 256 px.
    assert crowd.stat().st_size + sum(10_000 - len(run["thumb"]) for run in data["runs"]) < 20e6
    assert len(data["runs"]) == 500
    assert all(len(run["curves"]["evaluation"]) <= 64 for run in data["runs"])
    assert all(run["curves"]["evaluation"][0] == 1 for run in data["runs"])
    assert all(run["curves"]["evaluation"][-1] == 100 for run in data["runs"])


def test_a_run_whose_picture_is_broken_is_in_the_report(sweep):
    (folders(sweep)[0] / "result.png").write_bytes(b"no picture")
    assert command([str(sweep)]) == 0
    assert [run["thumb"] is None for run in Page(sweep / "report.html").data["runs"]].count(True) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
SECTIONS = ("size", "seed", "content", "style", "layers", "loss", "name", "swd", "seconds")
KEYS = (
    "status", "distances", "metrics_version", "hashes", "credits", "overrides", "losses", "seconds", "evaluations",
    "convention_overrides", "size", "error", "start", "stop_reason", "peak_memory_bytes", "result_version",
)  # fmt: skip
CONFIGS, MANIFESTS = (st.dictionaries(st.sampled_from(keys), JSON) for keys in (SECTIONS, KEYS))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(CONFIGS, MANIFESTS), min_size=1, max_size=3))
def test_whatever_manifests_say_they_are_read_and_shown_or_told_to_be_none(manifests):
    with TemporaryDirectory() as home:
        for number, (config, more) in enumerate(manifests):
            folder = Path(home) / str(number)
            folder.mkdir()
            sections = {"style": {"images": ["mosaic"]}, "loss": {}}
            manifest = {"status": "completed", "fingerprint": str(number), "config": sections | config, **more}
            (folder / "manifest.json").write_text(json.dumps(manifest))
            (folder / "metrics.jsonl").write_text(json.dumps(more) + "\n{\n[]\n")
        runs = load_runs(home)
        foreign = [problem for problem in runs.problems if problem.reason == "manifest.json is not that of a run"]
        assert len(runs.table) + len(foreign) == len(manifests)
        if len(runs):
            data = page_data(runs, Path(home) / "report.html", "any", None)
            assert json.loads(json.dumps(data, allow_nan=False)) == data
        with redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")):  # a real one, which takes text only
            assert command([home, "--all", "--no-html"]) in (0, 1)
        write_summary(Path(home))


# ---- in a browser ----


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


def test_the_scripts_of_the_page_are_those_of_the_folder():
    from nst_lab.comparison.report import SCRIPTS

    assert sorted(SCRIPTS) == sorted(path.name for path in (CHECKOUT / "nst_lab/assets/report").glob("*.js"))
