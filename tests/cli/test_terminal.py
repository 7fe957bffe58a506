import pytest
from hypothesis import given
from hypothesis import strategies as st

from hugraph.cli.terminal import inert, write_line, write_table


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


@pytest.mark.parametrize("name", ["LC_ALL", "LANG"])
def test_a_c_locale_gets_ascii(monkeypatch, name):
    monkeypatch.delenv("LC_ALL")
    monkeypatch.setenv(name, "C")
    assert inert("é映") == r"\xe9\u6620"


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
