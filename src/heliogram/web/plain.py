"""What the API says of a value, for people who fill in a form: without the words of JSON and of programs."""

from __future__ import annotations

import re

_WORDS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"Expected `\w+` of length >= 1\b", "Fill this in"),
        (r"Expected `str` of length >= (\d+)", r"Give at least \1 characters"),
        (r"Expected `str` of length <= (\d+)", r"Give at most \1 characters"),
        (r"Expected `\w+` of length <= (\d+)", r"Give at most \1 of them"),
        (r"Expected `(?:int|float)` >= (-?\d+(?:\.\d+)?)", r"Give \1 or more"),
        (r"Expected `(?:int|float)` <= (-?\d+(?:\.\d+)?)", r"Give \1 or less"),
        (r"Expected `str` matching regex .*", "This is not written as such a value is"),
        (r"Invalid enum value ('.*?'|\d+)", r"\1 is none of the choices"),
        (r"Object missing required field `\w+`", "Fill this in"),
    )
)


def plain(message: str) -> str:
    """The message in plain words; one that has them already is left as it is."""
    for pattern, words in _WORDS:
        message, found = pattern.subn(words, message, count=1)
        if found:
            return message
    return message


def name_of(context: str) -> str:
    """The field of a place in the request (`$.content.signingKey`), as far as people care: `content.signingKey`."""
    return context.removeprefix("$.").removeprefix("query.")
