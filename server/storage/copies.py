"""A consistent copy of a project's database as a plain file that any SQLite opens."""

from __future__ import annotations

from typing import Any

import apsw

SEQ = 'SELECT seq, version FROM "_sharelite" WHERE id=1'
#: Written where SQLite notes which library wrote last (bytes 96-99): a constant, so that equal content is equal bytes.
WRITER = 3_054_001


def normalised(reader: apsw.Connection) -> tuple[int, bytes]:
    """The version and bytes of the database as this reader sees it now, the header as in an image (design 5)."""
    reader.execute("BEGIN")
    try:
        position: Any = reader.execute(SEQ).fetchone()
        seq, version = position
        content = bytearray(reader.serialize("main"))
    finally:
        reader.execute("ROLLBACK")
    counter = int.from_bytes(seq, "big") % 2**32
    content[18:20] = b"\x01\x01"
    content[24:28] = content[92:96] = counter.to_bytes(4, "big")
    content[96:100] = WRITER.to_bytes(4, "big")
    return int.from_bytes(version, "big"), bytes(content)
