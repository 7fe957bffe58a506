import base64
import hashlib
import json
import math
import re
from html import unescape
from html.parser import HTMLParser

import pytest

pytest.importorskip("plotly")

from hugraph.report.page import (
    Code,
    Details,
    Facts,
    Number,
    Page,
    Picture,
    Plot,
    Prose,
    Section,
    Table,
    render,
    script_data,
)

HOSTILE = "</script><script>alert(1)</script><!-- & \"' {{ 7 * 7 }}"
TREE = [{"id": "root", "parent": "", "name": HOSTILE, "size": 0, "branch": None, "said": [HOSTILE]}]
STILL = Picture(b"png", "png", HOSTILE)
EVERYTHING = [
    Prose(HOSTILE),
    Prose(HOSTILE, beware=True),
    Facts({HOSTILE: HOSTILE}, large=True),
    Table(HOSTILE, [HOSTILE, "number"], [[HOSTILE, Number(0.5, HOSTILE)], ["plain", 3]]),
    STILL,
    Plot("tree", HOSTILE, STILL),
    Code(HOSTILE),
    Details(HOSTILE, [Prose(HOSTILE)]),
]


class Elements(HTMLParser):
    """The tags of a page with their attributes, and the texts that a reader sees."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self._within = [], [], []
        self.scripts = []
        self.feed(page)
        assert self._within == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "input", "br"):
            self._within.append(tag)

    def handle_endtag(self, tag):
        assert self._within.pop() == tag

    def handle_data(self, data):
        kind = self._within[-1] if self._within else ""
        if kind == "script":
            self.scripts.append((self.tags[-1][1].get("type"), data))
        elif kind != "style" and data.strip():
            self.texts.append(data.strip())


def page(*blocks, title="A title", data=None):
    return render(Page(title, "below it", [Section("one", "One", blocks)], data or {})).decode()


def test_a_small_page_is_the_expected_elements():
    found = Elements(page(Table("Caption", ["name", "n"], [["a", 2], ["b", Number(0.5, "half")]])))
    assert found.texts == ["A title", "Skip to the report", "A title", "below it", "One", "One",
                           "Caption", "name", "n", "a", "2", "b", "half"]  # fmt: skip
    cells = [attributes for tag, attributes in found.tags if tag in ("th", "td")]
    assert cells[2:] == [
        {"scope": "row"},
        {"class": "number", "data-key": "2"},
        {"scope": "row"},
        {"class": "number", "data-key": "0.5"},
    ]
    assert ("a", {"href": "#one"}) in found.tags and ("h2", {"id": "one"}) in found.tags


def test_a_picture_stands_in_the_page_itself():
    found = Elements(page(Picture(b"\x89PNG", "png", "what it shows")))
    address = "data:image/png;base64,iVBORw=="
    assert ("img", {"alt": "what it shows", "src": address}) in found.tags


def test_whatever_text_stays_text_in_every_block():
    written = page(*EVERYTHING, title=HOSTILE, data={"tree": {HOSTILE: TREE}})
    found = Elements(written)
    kinds = [kind for kind, _ in found.scripts]
    assert kinds == ["application/json", "text/plain", None]
    assert [tag for tag, _ in found.tags].count("script") == 3
    # title, h1, two paragraphs, a fact and its name, caption, head, two cells, the text of a
    # plot, code, and details with a paragraph
    assert found.texts.count(HOSTILE) == 14
    spoken = [attributes.get("alt", attributes.get("aria-label")) for _, attributes in found.tags]
    assert spoken.count(HOSTILE) == 4  # two pictures, a canvas and a table
    assert json.loads(found.scripts[0][1]) == {"tree": {HOSTILE: TREE}}


def test_the_policy_names_the_scripts_of_the_page_and_nothing_else():
    written = page(Plot("tree", "text", STILL), data={"tree": {"visual": TREE}})
    found = Elements(written)
    policy = next(a["content"] for _, a in found.tags if "http-equiv" in a)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    hashes = {
        "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
        for kind, text in found.scripts
        if kind != "application/json"
    }
    assert set(rules["script-src"].split()) == hashes and len(hashes) == 2
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data: blob:"


def test_a_page_without_plots_holds_no_library():
    written = page(Prose("text"))
    assert len(written) < 30_000
    assert len(re.findall("sha256-", written)) == 1


@pytest.mark.parametrize(
    "text", [HOSTILE, "\u2028\u2029", "</ScRiPt", "<!--<script>", "ü 漢 \\u003c"]
)
def test_data_of_scripts_is_the_same_json_without_what_ends_a_script(text):
    written = script_data({text: [text, 1, None, 0.5]})
    assert json.loads(written) == {text: [text, 1, None, 0.5]}
    assert not re.search("[<>&\u2028\u2029]", written)


def test_data_that_json_does_not_have_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        script_data([math.nan])


def test_half_a_surrogate_in_a_title_does_not_stop_a_page():
    assert "<p>a?b</p>" in unescape(page(Prose("a\ud800b")))
