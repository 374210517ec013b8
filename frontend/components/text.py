"""What people and machines wrote, shown as text: never as Markdown, a formula or an icon, and nothing in it invisible."""

import re
import unicodedata

_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Unicode's controls (of the writing direction and of no width among them), surrogates and separators of lines."""
_JOINER = "\u2060"
_MARKUP = re.compile(r"[\\`*_\[\]#~$<>|&!:]")
_LINE_START = re.compile(r"(?:[-+=]|\d+(?=[.)]))")
_SEEN_BY_STREAMLIT = re.compile(
    r"(?<=:)(?=[\w+/-]+:)|(?<=:)(?=//)|(?<=\bwww)(?=\.)|(?<=\w@)(?=\w)|(?<=[-<>~])(?=[-=>])"
)
"""Where Streamlit finds icons, links and arrows in the text itself, escaped or not: a joiner of no width parts them."""
_FORMULA = ("=", "+", "-", "@")


def visible(text: str) -> str:
    """The text with what cannot be seen written out, such as ``[U+202E]``; for places that do not read Markdown."""
    return text if text.isprintable() else "".join(map(_written_out, text))


def plain(text: str) -> str:
    """A name or a sentence inside of Markdown."""
    parted = _SEEN_BY_STREAMLIT.sub(_JOINER, visible(text))
    escaped = _MARKUP.sub(r"\\\g<0>", parted)
    return _LINE_START.sub(_escaped_start, escaped, count=1) if _LINE_START.match(escaped) else escaped


def plain_lines(text: str) -> str:
    """Several lines inside of Markdown, each on its own."""
    return "\\\n".join(plain(line.strip()) or _JOINER for line in text.strip().splitlines())


def cell(text: str) -> str:
    """A cell of a table. Tables can be downloaded as CSV: what a spreadsheet would take for a formula gets a quote."""
    shown = visible(text)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown


def _written_out(letter: str) -> str:
    return f"[U+{ord(letter):04X}]" if unicodedata.category(letter) in _INVISIBLE else letter


def _escaped_start(found: re.Match[str]) -> str:
    start = found.group()
    return f"\\{start}" if not start[0].isdigit() else f"{start}\\"
