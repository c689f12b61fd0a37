"""Who else is made of the same model and prompt, and is distrusted: from memory at once, and from the disk.

What somebody just did is in memory before it is on disk; what somebody did long ago is on disk alone. A newcomer is
held against both, again at each of its openings as long as little is known of it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from ioint_node.scoring.composition import maker_of
from ioint_node.scoring.trust import Trust, is_distrusted
from ioint_node.store.actors import NAMESAKES, namesakes
from ioint_node.store.engine import Store

MAKERS_KEPT: Final = 1_024  # of whom somebody is distrusted
READ_KEPT: Final = 256  # answers of the disk
READ_MS: Final = 2_000  # for which such an answer holds

Known = tuple[tuple[str, Trust], ...]


class Namesakes:
    """The distrusted actors of each make that memory has lately seen, and what the disk lately said; both bounded."""

    def __init__(self) -> None:
        self._shunned: OrderedDict[str, OrderedDict[str, Trust]] = OrderedDict()
        self._read: OrderedDict[tuple[str, str], tuple[int, Known]] = OrderedDict()

    def note(self, actor: str, trust: Trust, now: int) -> None:
        """Remember an actor whose trust has moved, if it is distrusted now; forget it, if it is not."""
        make = maker_of(trust.parts) or trust.composition
        if not make:
            return
        if not is_distrusted(trust, now):
            if make in self._shunned:
                self._shunned[make].pop(actor, None)
            return
        of_make = self._shunned.setdefault(make, OrderedDict())
        of_make[actor] = trust
        of_make.move_to_end(actor)
        self._shunned.move_to_end(make)
        if len(of_make) > NAMESAKES:
            of_make.popitem(last=False)
        if len(self._shunned) > MAKERS_KEPT:
            self._shunned.popitem(last=False)

    async def of(self, store: Store, actor: str, trust: Trust, now: int) -> tuple[Trust, ...]:
        """The trust of other actors of the same model and prompt, or of the same composition."""
        maker, composition = maker_of(trust.parts), trust.composition
        found = dict(await self._stored(store, maker, composition, now))
        for make in {maker, composition} - {""}:
            found.update(self._shunned.get(make, {}))
        return tuple(known for name, known in found.items() if name != actor)

    async def _stored(self, store: Store, maker: str, composition: str, now: int) -> Known:
        key = (maker, composition)
        until, known = self._read.get(key, (0, ()))
        if now >= until or now < until - READ_MS:
            async with store.read() as connection:
                known = await namesakes(connection, maker=maker, composition=composition)
            self._read[key] = (now + READ_MS, known)
            self._read.move_to_end(key)
            if len(self._read) > READ_KEPT:
                self._read.popitem(last=False)
        return known
