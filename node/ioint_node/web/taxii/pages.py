"""Pages of groups of objects: which objects, when each was added, and the bytes of the answer. Nothing is encoded anew.

Of a group with n objects that changed in millisecond t, object i (from 0) was added at t less n − 1 − i microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

from ioint_node.formats import stix
from ioint_node.store.rendered import Group
from ioint_node.store.times import from_text, to_text
from ioint_node.web.problems import TAXII_TYPE
from ioint_node.web.taxii.asking import Wanted

LAST: Final = "X-TAXII-Date-Added-Last"
STIX_TYPE: Final = "application/stix+json;version=2.1"
REFERRED_FROM: Final = 50
"""A page smaller than this has no room for what its objects refer to."""
USUAL_GROUP: Final = 5
"""Objects of a group: by that it is guessed how many groups fill a page."""


class Piece(NamedTuple):
    """Objects of one version that follow one another: when the first was added, in Unix microseconds, and their JSON.

    `ids` is empty where nobody asked for them.
    """

    first_us: int
    size: int
    version: str
    ids: tuple[str, ...]
    data: bytes

    @property
    def last_us(self) -> int:
        """When the last was added."""
        return self.first_us + self.size - 1


@dataclass(frozen=True, slots=True)
class Page:
    """The objects of an answer; `position_us` is how far the collection was looked through."""

    pieces: Sequence[Piece]
    more: bool
    position_us: int


NOTHING: Final = Page((), more=False, position_us=0)


class Definitions:
    """The objects that never change, in their order; each is an own piece."""

    def __init__(self, made: Iterable[Mapping[str, Any]]) -> None:
        first = from_text(stix.EPOCH)
        self.pieces = tuple(
            Piece(
                (first + place) * 1_000,
                1,
                str(one.get("modified", one["created"])),
                (str(one["id"]),),
                stix.encoded(one),
            )
            for place, one in enumerate(made)
        )
        self._by_id = {piece.ids[0]: piece for piece in self.pieces}

    def chosen(self, wanted: Wanted) -> tuple[Piece, ...]:
        """Those that a poll asks for."""
        ids = self._by_id.keys() if wanted.ids is None else wanted.ids & self._by_id.keys()
        found = [self._by_id[name] for name in ids]
        return tuple(
            sorted(piece for piece in found if piece.first_us > wanted.after_us and _asked(piece, wanted))
        )

    def referred(self, labels: Iterable[str], intents: Iterable[str]) -> tuple[Piece, ...]:
        """Those that objects of these labels and intents refer to."""
        ids = {
            stix.IDENTITY,
            stix.CONSORTIUM,
            *map(stix.marking_id, labels),
            *map(stix.attack_pattern_id, intents),
        }
        return tuple(self._by_id[name] for name in sorted(ids) if name in self._by_id)


def page_of(
    fixed: Sequence[Piece], groups: Sequence[Group], wanted: Wanted, definitions: Definitions, *, more: bool
) -> Page:
    """As much of some definitions and then of some groups as fits; `more` says that groups follow these.

    What the objects refer to is put in front of them, in a page of everything.
    """
    filling = _Filling(wanted, definitions)
    for piece in fixed:
        if not filling.take([piece], "", ()):
            return filling.page(more=True)
    for group in groups:
        if not filling.take(list(_chosen(group, wanted)), group.tlp, group.needs.split()):
            return filling.page(more=True)
        filling.position_us = millis(group.added_at) * 1_000
    return filling.page(more=more)


@dataclass(slots=True)
class _Filling:
    """A page that is being filled."""

    wanted: Wanted
    definitions: Definitions
    pieces: list[Piece] = field(default_factory=list)
    count: int = 0
    labels: set[str] = field(default_factory=set)
    intents: set[str] = field(default_factory=set)
    position_us: int = 0

    def take(self, pieces: list[Piece], label: str, intents: Sequence[str]) -> bool:
        """Take a group as far as it fits; False when it did not whole.

        A group is not divided between pages, unless none would hold it.
        """
        if not pieces:
            return True
        referred = self._referred(label, intents)
        room = self.wanted.limit - self.count - referred
        size = sum(piece.size for piece in pieces)
        if size > room and self.pieces:
            return False
        if label:
            self.labels.add(label)
            self.intents.update(intents)
        for piece in pieces:
            # A page is never empty while more follows, however small it is.
            if piece.size > room and self.pieces:
                return False
            self.pieces.append(piece)
            self.count += piece.size
            room -= piece.size
            self.position_us = piece.last_us
        return True

    def page(self, *, more: bool) -> Page:
        """The page as it is now."""
        if not self.pieces or not self._refers:
            return Page(self.pieces, more, self.position_us)
        referred = self.definitions.referred(self.labels, self.intents)
        first = self.pieces[0].first_us - len(referred)
        # They come with the page that needs them, so they count as added just before its first object.
        moved = [Piece(first + place, *piece[1:]) for place, piece in enumerate(referred)]
        return Page([*moved, *self.pieces], more, self.position_us)

    @property
    def _refers(self) -> bool:
        return self.wanted.whole and bool(self.labels) and self.wanted.limit >= REFERRED_FROM

    def _referred(self, label: str, intents: Sequence[str]) -> int:
        if not self.wanted.whole or not label or self.wanted.limit < REFERRED_FROM:
            return 0
        return 2 + len(self.labels | {label}) + len(self.intents.union(intents))


def _chosen(group: Group, wanted: Wanted) -> Iterator[Piece]:
    """The objects of a group that a poll asks for."""
    first_us = millis(group.added_at) * 1_000 - group.objects + 1
    skipped = wanted.after_us - first_us + 1
    if wanted.whole and skipped <= 0 and wanted.limit >= REFERRED_FROM:
        ids = tuple([line.partition(" ")[0] for line in group.names.split("\n")]) if group.names else ()
        yield Piece(first_us, group.objects, group.added_at, ids, group.body)
        return
    begin = 0
    for place, line in enumerate(group.names.split("\n")):
        name, _, size = line.partition(" ")
        end = begin + int(size)
        piece = Piece(first_us + place, 1, group.added_at, (name,), group.body[begin:end])
        if place >= skipped and _asked(piece, wanted):
            yield piece
        begin = end + 1  # the comma


def _asked(piece: Piece, wanted: Wanted) -> bool:
    (name,) = piece.ids
    return (
        (wanted.ids is None or name in wanted.ids)
        and (wanted.types is None or name.partition("--")[0] in wanted.types)
        and (wanted.versions is None or piece.version in wanted.versions)
    )


def envelope(page: Page, wanted: Wanted) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an envelope of objects."""
    return _answer(page, wanted, b'"objects":[', (piece.data for piece in page.pieces))


def manifest(page: Page, wanted: Wanted) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a manifest."""
    return _answer(page, wanted, b'"objects":[', map(_entries, page.pieces))


def versions(page: Page, wanted: Wanted) -> tuple[bytes, dict[str, str]]:
    """Body and headers of the versions of an object."""
    listed = (f'"{piece.version}"'.encode() for piece in page.pieces)
    return _answer(page, wanted, b'"versions":[', listed)


def _answer(
    page: Page, wanted: Wanted, opening: bytes, parts: Iterable[bytes]
) -> tuple[bytes, dict[str, str]]:
    if not page.pieces:
        # Who keeps this header to go on from would go on from its own clock without it.
        return b"{}", {LAST: instant(wanted.after_us)} if wanted.after_us else {}
    following = wanted.following(page.position_us).encode() if page.more else b""
    head = b'{"more":true,"next":"%b",' % following if page.more else b'{"more":false,'
    dates = {
        "X-TAXII-Date-Added-First": instant(page.pieces[0].first_us),
        LAST: instant(page.pieces[-1].last_us),
    }
    return b"%b%b%b]}" % (head, opening, b",".join(parts)), dates


def _entries(piece: Piece) -> bytes:
    return ",".join(
        [
            f'{{"id":"{name}","date_added":"{instant(piece.first_us + place)}",'
            f'"version":"{piece.version}","media_type":"{STIX_TYPE}"}}'
            for place, name in enumerate(piece.ids)
        ]
    ).encode()


def instant(us: int) -> str:
    """The text of an instant in Unix microseconds, with all six digits."""
    ms, rest = divmod(us, 1_000)
    return f"{to_text(ms)[:-1]}{rest:03d}Z"


def millis(text: str) -> int:
    """Unix milliseconds of an instant that this node wrote."""
    return _second_ms(text[:19]) + int(text[20:23])


# The indicators of a page mostly changed within the same few seconds.
@lru_cache(maxsize=256)
def _second_ms(second: str) -> int:
    return from_text(f"{second}Z")


HEADERS: Final = {"Content-Type": TAXII_TYPE, "Cache-Control": "no-store"}
