"""The names people give: what is refused, and which two are the same.

Files and addresses never contain a name (design: Words), so this protects people, not the disk.
"""

from __future__ import annotations

import re
import unicodedata

from .errors import Refused
from .model import Fault

MOST_BYTES = 200
CONTRACT_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
#: Control, format (invisible, bidirectional), surrogate, private and unassigned characters.
UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def valid_project_name(name: str) -> str:
    """The name in its composed form; raises Refused `invalid` that says what is wrong with it."""
    name = unicodedata.normalize("NFC", name) if isinstance(name, str) else ""
    if not name or name != name.strip():
        raise _bad("is empty or begins or ends with a space")
    if len(name.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise _bad(f"has more than {MOST_BYTES} bytes")
    if any(unicodedata.category(character) in UNSEEN for character in name):
        raise _bad("has a character that cannot be seen")
    if name in (".", "..") or any(character in name for character in '/\\"*<>?|`'):
        raise _bad('is . or .. or has one of / \\ " * < > ? | `')
    scripts = {_script(character) for character in name if character.isalpha()}
    if len(scripts & {"LATIN", "CYRILLIC", "GREEK"}) > 1:
        raise _bad("mixes alphabets whose letters look alike")
    return name


def folded(name: str) -> str:
    """Names with the same folding are the same name: case, width and composition do not count."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def valid_contract_name(name: str) -> str:
    """A contract's name is also a file's: letters, digits, dots, dashes and underscores, at most 64."""
    if not CONTRACT_NAME.fullmatch(name) or ".." in name:
        raise Refused("invalid", f"contract name {name[:80]!r}: use letters, digits, '.', '-' and '_', at most 64")
    return name


def _script(character: str) -> str:
    return unicodedata.name(character, "").split(" ", 1)[0]


def _bad(why: str) -> Refused:
    return Refused("invalid", f"the name {why}", (Fault(why, pointer="/name"),))
