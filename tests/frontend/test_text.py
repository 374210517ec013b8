"""Names and messages are shown as text: checked on hostile ones, and on every call that reads Markdown."""

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from frontend.components.runs_table import run_rows
from frontend.components.text import cell, plain, plain_lines, visible
from tests.frontend.results import run

FRONTEND = Path(__file__).resolve().parents[2] / "frontend"
MARKDOWN = {
    "title", "header", "subheader", "markdown", "caption", "info", "warning", "error", "success", "write", "metric",
    "expander", "tabs", "button", "toast", "progress", "page_link", "download_button", "toggle", "checkbox", "spinner",
}  # fmt: skip
FOREIGN = {
    "name",
    "notes",
    "label",
    "error",
    "message",
    "detail",
    "host",
    "file",
    "reason",
    "actor",
    "tags",
    "worker_id",
}
"""Fields that people or machines fill."""
SAFE = {"plain", "plain_lines", "escape", "badge", "len"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("crop + color 0.5", "crop + color 0.5"),
        ("**bold** _it_", r"\*\*bold\*\* \_it\_"),
        ("<b>x</b>", r"\<b\>x\</b\>"),
        ("[here](https://evil.org)", "\\[here\\](https\\:\u2060//evil.org)"),
        ("$x^2$ `code`", r"\$x^2\$ \`code\`"),
        (":red[alarm]", r"\:red\[alarm\]"),
        (":material/home:", "\\:\u2060material/home\\:"),
        (":smile:", "\\:\u2060smile\\:"),
        ("# title", r"\# title"),
        ("- list", r"\- list"),
        ("1. first", r"1\. first"),
        ("a -> b", "a -\u2060\\> b"),
        ("www.evil.org a@b.org", "www\u2060.evil.org a@\u2060b.org"),
        ("invoice\u202egnp.exe", "invoice\\[U+202E\\]gnp.exe"),
        ("zero\u200bwidth", "zero\\[U+200B\\]width"),
        ("two\nlines", "two\\[U+000A\\]lines"),
    ],
)
def test_a_name_is_shown_as_it_was_written(text: str, shown: str):
    assert plain(text) == shown


@given(st.text())
def test_nothing_of_a_name_is_invisible(text: str):
    assert not set(visible(text)) & set(
        "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u200e\u200f\0\n\ud800"
    )


def test_lines_stay_lines():
    assert plain_lines("# one\n\n- two") == "\\# one\\\n\u2060\\\n\\- two"


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\n=1"])
def test_a_cell_is_no_formula_when_it_is_downloaded(formula: str):
    assert cell(formula).startswith(("'", "["))


def test_the_table_of_runs_holds_no_formula():
    rows = run_rows([run("a").model_copy(update={"name": "=HYPERLINK(1)"})])
    assert rows.loc["a", "name"] == "'=HYPERLINK(1)"


def test_streamlit_gets_text(tmp_path: Path):
    script = tmp_path / "page.py"
    script.write_text(
        "import streamlit as st\nfrom frontend.components.text import plain\n"
        "st.title(plain('# :material/home: <b>'))\nst.metric(plain('$x$'), 1)\n"
    )
    page = AppTest.from_file(str(script)).run()
    assert not page.exception
    assert page.title[0].value == "\\# \\:\u2060material/home\\: \\<b\\>"


def bare_fields(call: ast.Call) -> list[str]:
    """Foreign fields in what a call of Streamlit shows, with nothing between that makes them text."""
    shown = [*call.args, *(word.value for word in call.keywords if word.arg in {"label", "text", "body", "help"})]
    return [field for argument in shown for field in _bare(argument)]


def _bare(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Lambda) or (isinstance(node, ast.Call) and _name(node.func) in SAFE):
        return []
    if isinstance(node, ast.Attribute):
        return [ast.unparse(node)] if node.attr in FOREIGN else []
    if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Name) and node.value.id in FOREIGN:
        return [node.value.id]
    return [field for child in ast.iter_child_nodes(node) for field in _bare(child)]


def _name(function: ast.expr) -> str:
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def calls_of(tree: ast.AST) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MARKDOWN
    ]


OURS = {"advice.message", "field.label", "place.reason"}
"""Written by us: about numbers of the config, the names of its fields, what a run waits for. No word of a person's in it."""


def test_every_foreign_field_that_reaches_markdown_is_made_text():
    files = [path for path in FRONTEND.rglob("*.py") if path.name != "text.py"]
    found = {
        f"{path.relative_to(FRONTEND)}:{call.lineno}": sorted(bare)
        for path in files
        for call in calls_of(ast.parse(path.read_text()))
        if (bare := set(bare_fields(call)) - OURS)
    }
    assert sum(len(calls_of(ast.parse(path.read_text()))) for path in files) > 50
    assert found == {}


@pytest.mark.parametrize(
    "line",
    ["st.title(run.name)", "st.markdown(f'**{run.name}**')", "x.button(label=study.name)", "st.write(f'{name}')"],
)
def test_the_check_sees_a_bare_field(line: str):
    (call,) = calls_of(ast.parse(line))
    assert bare_fields(call)


@pytest.mark.parametrize("line", ["st.title(plain(run.name))", "st.markdown(f'**{plain(run.name)}**')"])
def test_the_check_lets_text_through(line: str):
    (call,) = calls_of(ast.parse(line))
    assert bare_fields(call) == []
