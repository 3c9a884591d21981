"""Small valid files, changed as damage and malice change them: edits that hypothesis draws."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hypothesis import strategies as st

_FRACTIONS = 1 << 16
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_WORD = re.compile(rb'"[^"\n]*"|[A-Za-z_][\w-]*|\[[^\[\]\n]*\]')

#: In the place of a number of a text.
NUMBERS = (
    *(b"0", b"-1", b"1.5", b"NaN", b"Infinity", b"-Infinity", b"1e308", b"1e-320", b"null"),
    *(b"4294967296", b"9223372036854775808", b"1" + b"0" * 400, b"9" * 5000, b'"7"', b"[]"),
)
#: In the place of a word, a quoted text or a list.
WORDS = (
    *(b"null", b"true", b"0", b"1e999", b'""', b"[]", b"{}", b'{"a": []}', b"[[0]]", b"*"),
    *(b'"\\u001b]0;x\\u0007"', b'"\\ud800"', b"\x1b[2J", b"../..", b"[" * 3000, b"x" * 70_000),
)
#: Over some bytes of a binary file: lengths and signs.
BYTES = (
    b"\0" * 4,
    b"\xff" * 4,
    b"\xff\xff\xff\x7f",
    b"\xff" * 8,
    b"\0\0\0\x40",
    b"\x80",
    b"\n",
    b"(",
)


@dataclass(frozen=True)
class Edit:
    """One change.

    Attributes:
        kind: a name in ``KINDS``.
        inside: of what a compressed file or an archive holds, not of its packed bytes.
        file: which of the files, where a reader has several.
        at: place in the file, in 65536ths of its length (or of its numbers or words).
        length: bytes of a span.
        value: which number, word, bit or bytes.
    """

    kind: str
    inside: bool
    file: int
    at: int
    length: int
    value: int

    def apply(self, content: bytes) -> bytes:
        """The changed content."""
        if self.kind == "number":
            return self._replaced(content, _NUMBER, NUMBERS)
        if self.kind == "word":
            return self._replaced(content, _WORD, WORDS)
        start = self.at * len(content) // _FRACTIONS
        end = min(start + self.length, len(content))
        if self.kind == "flip":
            changed = bytes([content[start] ^ 1 << self.value % 8]) if content else b""
            return content[:start] + changed + content[start + 1 :]
        if self.kind == "bytes":
            new = BYTES[self.value % len(BYTES)]
            return content[:start] + new + content[start + len(new) :]
        if self.kind == "cut":
            return content[:start]
        if self.kind == "drop":
            return content[:start] + content[end:]
        span, times = content[start:end], (1, 2, 50)[self.value % 3]
        return content[:end] + span * times + content[end:]

    def _replaced(self, content: bytes, what: re.Pattern[bytes], by: tuple[bytes, ...]) -> bytes:
        found = list(what.finditer(content[: 1 << 17]))
        if not found:
            return content
        start, end = found[self.at * len(found) // _FRACTIONS].span()
        return content[:start] + by[self.value % len(by)] + content[end:]


KINDS = ("number", "word", "flip", "bytes", "cut", "drop", "double")

edits = st.lists(
    st.builds(
        Edit,
        kind=st.sampled_from(KINDS),
        inside=st.booleans(),
        file=st.integers(0, 7),
        at=st.integers(0, _FRACTIONS - 1),
        length=st.integers(1, 300),
        value=st.integers(0, 63),
    ),
    min_size=1,
    max_size=3,
)
