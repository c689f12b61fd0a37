"""Ids by their first digits, as lists print them, and where to look when a name is unknown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Final

from ioint_node.cli.client import Client
from ioint_node.errors import NotFoundError, RequestError

SHOWN_DIGITS: Final = 12
PUBLIC: Final = "pkg:"  # what the name of a public subject begins with
LEAST_DIGITS: Final = 8
ALL_DIGITS: Final = 64


def short_id(full: object) -> str:
    """The first digits of an id, which commands accept in its place; a public name has no first digits."""
    text = str(full)
    return text if text.startswith(PUBLIC) else text[:SHOWN_DIGITS]


def pattern_id(node: Client, given: str) -> str:
    """The id of the one pattern or subject that begins with these digits, or that has this package URL.

    Raises:
        RequestError: too few digits, or none or several begin so.
    """
    if given.startswith(PUBLIC):
        # Other commands do not wait for it.
        from ioint_node.reputation.view import indicator_id  # noqa: PLC0415

        return indicator_id(given)
    rows = chain(node.items("api", "v1", "patterns"), node.items("api", "v1", "indicators"))
    return full_id(given, (str(row["id"]) for row in rows), what="pattern", listed="ioint indicators list")


def full_id(given: str, known: Iterable[str], *, what: str, listed: str) -> str:
    """The one of `known` that begins with these hex digits; all digits of an id are taken as they are.

    Raises:
        RequestError: too few digits, or none or several begin so; the message names the command that lists them.
    """
    digits = id_digits(given, what=what, listed=listed)
    if len(digits) == ALL_DIGITS:
        return digits
    found: set[str] = set()
    for each in known:
        if each.startswith(digits):
            found.add(each)
        if len(found) > 1:
            raise RequestError(f"more than one {what} begins with {digits}: give more digits of its id")
    if not found:
        raise NotFoundError(f"no {what} begins with {digits}: see `{listed}`")
    return found.pop()


def id_digits(given: str, *, what: str, listed: str) -> str:
    """The first hex digits of an id, or all of them, in lower case.

    Raises:
        RequestError: these are none, or too few; the message names the command that lists the ids.
    """
    digits = given.lower()
    if not re.fullmatch(rf"[0-9a-f]{{{LEAST_DIGITS},{ALL_DIGITS}}}", digits):
        raise RequestError(
            f"{given[:ALL_DIGITS]!r} is no id of {_one(what)}: give at least its first {LEAST_DIGITS} hex digits, "
            f"as `{listed}` shows them"
        )
    return digits


def _one(what: str) -> str:
    return f"{'an' if what[0] in 'aeiou' else 'a'} {what}"


@contextmanager
def or_see(command: str) -> Iterator[None]:
    """Let a refusal end with the command that shows what there is."""
    try:
        yield
    except RequestError as error:
        raise type(error)(f"{error}; see `{command}`") from None
