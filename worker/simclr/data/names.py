"""Names of files inside a zip: text that leads nowhere else, on any system, and hides nothing.

Nothing is ever unpacked to a disk: names only say which class an image is of. So a letter's case, a colon in a time and
odd alphabets are kept as they are.
"""

import re

from worker.simclr.data.refusal import ImportRefusedError

MAX_LETTERS = 1024
_DRIVE = re.compile(r"[A-Za-z]:")
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*([.:]|$)", re.IGNORECASE)


def check_name(name: str) -> None:
    """Raises ImportRefusedError where a name could lead out of the import, to a device, or hide what it is."""
    check_text(name)
    if not name:
        raise _refusal(name, "an empty one")
    if len(name) > MAX_LETTERS:
        raise _refusal(name, f"longer than {MAX_LETTERS} letters")
    if "\0" in name:
        raise _refusal(name, "with a NUL")
    if "\\" in name:
        raise _refusal(name, "with a backslash")
    if name.startswith("/") or _DRIVE.match(name):
        raise _refusal(name, "that begins at the root of a disk")
    for part in name.split("/"):
        if part == "..":
            raise _refusal(name, "that leads outside")
        if part != "." and part.endswith((".", " ")):
            raise _refusal(name, "with a dot or space at the end, which Windows drops")
        if _DEVICE.match(part):
            raise _refusal(name, "that means a device on Windows")


def check_text(name: str) -> None:
    """Raises ImportRefusedError where a name is no text: the system could not read it as UTF-8."""
    if not name.isascii() and any("\ud800" <= letter <= "\udfff" for letter in name):
        raise _refusal(name, "that is not UTF-8")


def _refusal(name: str, what: str) -> ImportRefusedError:
    shown = name[:100].encode("unicode_escape" if not name.isprintable() else "utf-8", "backslashreplace").decode()
    return ImportRefusedError(f"It holds a forbidden name, {what}: '{shown}'. Rename it.")
