import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from hugraph.cli.terminal import count, inert, write_docstring, write_line, write_table


@pytest.fixture(autouse=True)
def utf8(monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Amélie 🎬 映画", "Amélie 🎬 映画"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\ud800", r"\ud800"),
        ("[red]x[/red]", "[red]x[/red]"),
        (7, "7"),
    ],
)
def test_what_a_terminal_might_act_on_is_spelled_out(text, shown):
    assert inert(text) == shown


@given(st.text(st.characters()))
def test_inert_text_is_printable_and_can_be_encoded(text):
    assert all(ord(c) >= 32 and not 0x7F <= ord(c) <= 0x9F for c in inert(text))
    inert(text).encode()


@pytest.mark.parametrize(
    ("locale", "ascii"),
    [
        ({}, False),
        ({"LANG": "C"}, True),
        ({"LC_CTYPE": "POSIX", "LANG": "C.UTF-8"}, True),
        ({"LC_CTYPE": "C.UTF-8", "LANG": "C"}, False),
        ({"LC_ALL": "C", "LC_CTYPE": "C.UTF-8", "LANG": "C.UTF-8"}, True),
        ({"LC_ALL": "", "LANG": "C"}, True),
    ],
)
def test_a_c_locale_gets_ascii(monkeypatch, locale, ascii):
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in locale.items():
        monkeypatch.setenv(name, value)
    assert inert("é映") == (r"\xe9\u6620" if ascii else "é映")


def test_a_stream_gets_what_it_can_encode():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    write_line("é映", file=stream)
    stream.flush()
    assert stream.buffer.getvalue() == b"\\xe9\\u6620\n"


def test_lines_stay_where_they_are_asked_for(capsys):
    write_line("a\n\x1b[2Jb")
    assert capsys.readouterr().out == "a\n\\x1b[2Jb\n"


def test_a_table_in_a_pipe_is_columns(capsys):
    write_table(("id", "title"), [("u1", "[b]x"), (22, "\x1b[0m")])
    assert capsys.readouterr().out == "id  title\nu1  [b]x\n22  \\x1b[0m\n"


@pytest.mark.parametrize(("locale", "line"), [("C.UTF-8", "─"), ("C", "-")])
def test_a_table_on_a_terminal_is_drawn_and_shows_markup_as_it_is(
    monkeypatch, capsys, locale, line
):
    monkeypatch.setenv("LC_ALL", locale)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    write_table(("id", "title"), [("u1", "[red]x[/red]")])
    out = capsys.readouterr().out
    assert "[red]x[/red]" in out
    assert line in out
    assert out.isascii() == (locale == "C")


def test_no_color_is_used_if_it_is_not_wanted(monkeypatch, capsys):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    write_table(("id",), [("u1",)])
    assert "\x1b[3" not in capsys.readouterr().out


def test_a_table_in_a_pipe_lines_up_wide_characters(capsys):
    write_table(("title", "id"), [("映画", 1), ("abcd", 2)])
    assert capsys.readouterr().out == "title  id\n映画   1\nabcd   2\n"


def narrow(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)


def test_a_terminal_gets_lines_that_break_between_words_and_keep_their_indent(monkeypatch, capsys):
    narrow(monkeypatch)
    write_line("one two three four five\n\n  six seven eight nine ten\n  at: a b c d e f g h i j")
    assert capsys.readouterr().out == (
        "one two three four\nfive\n\n  six seven eight\n  nine ten\n"
        "  at: a b c d e f g\n      h i j\n"
    )


def test_a_command_stays_on_one_line(monkeypatch, capsys):
    narrow(monkeypatch)
    write_line("  hugraph fit --spec my.yaml", wrap=False)
    assert capsys.readouterr().out == "  hugraph fit --spec my.yaml\n"


DOCSTRING = "A b c\nd e.\n\nArgs:\n    x: One\n        two.\n    y: Three."


def test_a_docstring_is_filled_on_a_terminal(monkeypatch, capsys):
    narrow(monkeypatch)
    write_docstring(DOCSTRING)
    assert capsys.readouterr().out == "A b c d e.\n\nArgs:\n    x: One two.\n    y: Three.\n"


def test_a_docstring_is_as_written_in_a_pipe(capsys):
    write_docstring(DOCSTRING)
    assert capsys.readouterr().out == DOCSTRING + "\n"


def test_numbers_are_never_folded(monkeypatch, capsys):
    narrow(monkeypatch)
    write_table(("title", "a", "b"), [("many words of a title", "0.1234", "0.5678")])
    assert "0.1234  0.5678" in capsys.readouterr().out


def test_a_table_that_is_too_wide_can_be_parted(monkeypatch, capsys):
    narrow(monkeypatch)
    rows = [("x", "1 ± 2", "3 ± 4", "5 ± 6"), ("long", "", "7", "8")]
    write_table(("id", "a", "b", "c"), rows, whole=("a", "b", "c"), parted=True)
    text = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out)
    shown = [line.split() for line in text.splitlines() if "─" not in line]
    assert shown == [
        ["id", "a", "b"],
        ["x", "1", "±", "2", "3", "±", "4"],
        ["long", "7"],
        [],
        ["id", "c"],
        ["x", "5", "±", "6"],
        ["long", "8"],
    ]


@pytest.mark.parametrize(("columns", "parts"), [("16", 1), ("15", 2), ("10", 2)])
def test_a_table_is_parted_only_where_it_has_to_be(monkeypatch, capsys, columns, parts):
    narrow(monkeypatch)
    monkeypatch.setenv("COLUMNS", columns)
    write_table(("id", "a", "b"), [("abcd", "1234", "5678")], parted=True)  # 4 + 2 + 4 + 2 + 4
    assert capsys.readouterr().out.count("abcd") == parts


def test_a_style_is_seen_on_a_terminal_only(monkeypatch, capsys):
    rows = [(Text("0.5", "bold"), "[b]x")]
    write_table(("a", "b"), rows)
    assert capsys.readouterr().out == "a    b\n0.5  [b]x\n"
    narrow(monkeypatch)
    write_table(("a", "b"), rows)
    assert "\x1b[1m0.5\x1b[0m" in capsys.readouterr().out


def test_one_is_not_many():
    assert count(1, "user") == "1 user"
    assert count(2000, "user") == "2,000 users"
    assert (count(1, "user has", "users have"), count(0, "user has", "users have")) == (
        "1 user has",
        "0 users have",
    )
