import re
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from hugraph.cli.main import run as command
from hugraph.data.export import write_directory
from hugraph.data.synthetic import planted
from tests import browser
from tests.assembly.small import MODELS, write_small_spec

SCRIPT = "<script>alert(1)</script>"
NAMES = ("huign", "bpr_mf", "popularity")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Runs of a model with intents, one without, and one without vectors, each with its page.

    All titles of the items hold a script.
    """
    directory = tmp_path_factory.mktemp("fitted")
    data = planted(num_users=90, num_items=60, interactions_per_user=9, levels=[4, 2], dim=8)
    features = {"textual": data.features["textual"]}  # one modality, as each takes its time
    table = data.item_table.with_columns(title=pl.concat_str(pl.lit(f"{SCRIPT} "), "title"))
    write_directory(replace(data, item_table=table, features=features), directory / "data")
    spec = write_small_spec(directory)
    source = f"data={{source: directory, path: '{directory / 'data'}'}}"
    for name in NAMES:
        out = str(directory / name)
        options = [source, *MODELS[name], "train.epochs=2"]
        assert command(["fit", "--spec", spec, "--run", out, "-q", *options]) == 0
        beside = ["--beside", out] if name == "huign" else []
        assert command(["report", out, "-q", "--out", f"{out}.html", *beside]) == 0
    return directory


@pytest.fixture
def page(fitted):
    return (fitted / "huign.html").read_text()


def headings(page):
    return re.findall(r"<h2[^>]*>(.*)</h2>", page)


def test_a_page_has_all_parts_and_needs_nothing_else(page):
    assert headings(page) == [
        "Run", "Metrics", "Training", "Item graph", "Intents", "Items", "Assignments",
        "Modalities", "Popularity and coverage", "Users", "Fidelity", "Stability",
    ]  # fmt: skip
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    own = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//""", own)
    assert not re.search(r"""<script[^>]*src|@import|<link|<iframe""", own)
    assert len(page) < 8_000_000


def test_a_script_in_a_title_stays_text(page):
    assert SCRIPT not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page  # in tables
    assert "\\u003cscript\\u003ealert(1)" in page  # in the data of plots


def test_ten_users_get_explained_lists(page):
    assert len(re.findall(r"<summary>User u\d+, with \d+ training items", page)) == 10
    assert "because you like" in page


@pytest.mark.parametrize("name", ["bpr_mf", "popularity"])
def test_a_model_without_intents_says_so(fitted, name):
    page = (fitted / f"{name}.html").read_text()
    said = f"{name} has no intents that items are distributed over; fit huign to see some."
    assert page.count(said) == 2  # where they would be named, and where they would be tested
    assert ("Items" in headings(page)) == (name == "bpr_mf")
    if name == "popularity":
        assert "there are no learning curves" in page


def test_runs_beside_it_tell_how_stable_its_intents_are(page):
    assert "Intents of 1 other run are matched one to one with these." in page


def test_without_out_the_page_lies_in_the_run(hugraph, fitted, tmp_path):
    shutil.copytree(fitted / "popularity", tmp_path / "mine")
    for _ in range(2):  # the second replaces the first
        code, out, err = hugraph("report", "mine", "--data", str(fitted / "data"))
        assert (code, out) == (0, "")
        assert re.fullmatch(r"\d+ kB in mine/report.html", err.splitlines()[-1])
    written = Path("mine/report.html").read_text()
    assert headings(written) == headings((fitted / "popularity.html").read_text())
    assert hugraph("evaluate", "mine", "--data", str(fitted / "data")).code == 0


def test_a_page_without_a_count_of_the_item_graph_says_why(hugraph, fitted, tmp_path):
    shutil.copytree(fitted / "popularity", tmp_path / "mine")
    spec = tmp_path / "mine" / "spec.yaml"
    spec.write_text(re.sub("max_pairs: .*", "max_pairs: 10", spec.read_text()))
    code, _, err = hugraph("report", "mine", "--data", str(fitted / "data"), "--out", "r.html")
    assert code == 0, err
    page = Path("r.html").read_text()
    assert headings(page) == headings((fitted / "popularity.html").read_text())
    assert page.count("Its edges are not counted: the users&#39; histories hold") == 1


def test_what_is_not_a_run_is_said(hugraph, tmp_path):
    code, out, err = hugraph("report", "nowhere", "--out", "r.html")
    assert (code, out) == (5, "")
    assert "there is no run nowhere" in err and "fix:" in err
    (tmp_path / "empty").mkdir()
    assert hugraph("report", "empty", "--out", "r.html").code == 5
    assert not Path("r.html").exists()


def test_an_unfinished_run_is_said(hugraph, fitted, tmp_path):
    shutil.copytree(fitted / "popularity", tmp_path / "mine")
    (tmp_path / "mine" / "result.json").unlink()
    code, _, err = hugraph("report", "mine", "--data", str(fitted / "data"))
    assert code == 5
    assert "the run is not finished" in err and "hugraph fit --resume mine" in err
    assert not Path("mine/report.html").exists()


@pytest.mark.parametrize(
    ("out", "code", "said"),
    [
        ("my.pdf", 2, "--out 'my.pdf' must end in .html."),
        ("{run}/my.html", 2, "is inside the run directory"),
        ("no/my.html", 7, "there is no directory no"),
        ("", 2, "an empty path"),
    ],
)
def test_a_page_that_cannot_be_written_is_said_at_once(hugraph, fitted, out, code, said):
    run = str(fitted / "popularity")
    found = hugraph("report", run, "--out", out.replace("{run}", run))
    assert (found.code, found.out) == (code, "")
    assert said in found.err


@pytest.mark.parametrize("library", ["matplotlib", "plotly.offline", "jinja2"])
def test_a_missing_library_is_named_with_what_installs_it(hugraph, fitted, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    for name in ("figures", "page"):
        monkeypatch.delitem(sys.modules, f"hugraph.report.{name}", raising=False)
    code, _, err = hugraph("report", str(fitted / "popularity"), "--out", "r.html")
    assert code == 7 and "pip install 'hugraph[figures]'" in err


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    if browser.find_browser() is None:
        pytest.skip("there is no Chromium on the path")
    with browser.browsing(tmp_path_factory.mktemp("profile")) as page:
        yield page


# where the first item stands on the screen, from the camera of the plot
PLACE = """(() => {
  const canvas = document.querySelector('.plot[data-draws=items] .canvas');
  const scene = canvas._fullLayout.scene._scene, trace = canvas.data[0];
  const { projection, view, model } = scene.glplot.cameraParams;
  const row = (m, v, i) => v.reduce((sum, one, j) => sum + m[4 * j + i] * one, 0);
  const times = (m, v) => v.map((_, i) => row(m, v, i));
  const point = ['x', 'y', 'z'].map((axis, i) => trace[axis][0] * scene.dataScale[i]);
  const [x, y, , w] = times(projection, times(view, times(model, [...point, 1])));
  const box = scene.container.getBoundingClientRect();
  return [box.left + box.width * (1 + x / w) / 2, box.top + box.height * (1 - y / w) / 2];
})()"""
HOVERED = "document.querySelector('.plot[data-draws=items] .hovertext')?.textContent ?? ''"


def draw(page, name):
    plot = f"document.querySelector('.plot[data-draws={name}]')"
    page.value(f"{plot}.nextElementSibling.scrollIntoView()")
    page.wait_for(f"{plot}.classList.contains('drawn')")
    page.value(f"{plot}.scrollIntoView({{block: 'center'}})")
    return f"{plot}.querySelector('.canvas')"


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (390, True)])
def test_in_a_browser_plots_draw_and_nothing_is_complained_about(opened, fitted, width, dark):
    opened.resize(width, dark=dark)
    opened.open(fitted / "huign.html")
    tree = draw(opened, "tree")
    assert opened.value(f"{tree}.querySelectorAll('.slice').length") > 4
    items = draw(opened, "items")
    opened.wait_for(f"{items}.querySelector('canvas') !== null")
    traces = opened.value(f"{items}.data.map(trace => [trace.mode, trace.x.length])")
    assert sum(many for mode, many in traces if mode == "markers") == 60
    assert opened.value("document.documentElement.scrollWidth") <= width
    assert opened.complaints == []
    assert all(address.startswith(("file:", "data:", "blob:")) for address in opened.requests)


def test_in_a_browser_an_item_that_is_pointed_at_shows_its_title_as_text(opened, fitted):
    opened.resize(1200)
    opened.open(fitted / "huign.html")
    draw(opened, "items")
    for _ in range(50):
        x, y = opened.value(PLACE)
        opened.move(x - 1, y)
        opened.move(x, y)
        time.sleep(0.2)
        if opened.value(HOVERED):
            break
    assert SCRIPT in opened.value(HOVERED)


def test_in_a_browser_a_table_sorts_by_a_column_of_numbers(opened, fitted):
    opened.open(fitted / "popularity.html")
    table = "document.querySelector('#lists ~ .scroll table')"
    numbers = f"[...{table}.tBodies[0].rows].map(row => Number(row.cells[1].dataset.key))"
    for order in (sorted(opened.value(numbers), reverse=True), sorted(opened.value(numbers))):
        opened.value(f"{table}.tHead.rows[0].cells[1].querySelector('button').click()")
        assert opened.value(numbers) == order
    assert len(set(order)) > 1


def test_in_a_browser_a_table_is_sorted_by_keys_and_shows_where_one_is(opened, fitted):
    opened.open(fitted / "popularity.html")
    table = "document.querySelector('#lists ~ .scroll table')"
    numbers = f"[...{table}.tBodies[0].rows].map(row => Number(row.cells[1].dataset.key))"
    opened.value(f"{table}.closest('.scroll').focus()")
    for _ in range(2):  # to the first heading, then to the second
        opened.press("Tab")
    focused = "document.activeElement"
    assert opened.value(f"{focused}.closest('th') === {table}.tHead.rows[0].cells[1]")
    assert opened.value(f"getComputedStyle({focused}).outlineStyle") == "solid"
    sorts = f"{focused}.closest('th').getAttribute('aria-sort')"
    for key, order in (("Enter", "descending"), ("Space", "ascending")):
        opened.press(key)
        assert opened.value(sorts) == order
        downwards = order == "descending"
        assert opened.value(numbers) == sorted(opened.value(numbers), reverse=downwards)


def test_without_scripts_still_pictures_stand_for_plots(opened, fitted):
    opened.open(fitted / "huign.html", scripts=False)
    hidden = "[...document.querySelectorAll('.plot')].map(plot => plot.offsetHeight)"
    assert opened.value(hidden) == [0, 0]
    seen = "[...document.querySelectorAll('.twin img')].map(one => one.offsetHeight > 100)"
    assert opened.value(seen) == [True, True]
