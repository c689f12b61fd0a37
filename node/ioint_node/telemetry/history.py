"""What was told of a session already: each call of a model repeats all that was said before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TypeVar

from msgspec import structs

from ioint_node.telemetry.values import Happening
from ioint_node.telemetry.wire import hash_of

K = TypeVar("K")
V = TypeVar("V")


class History:
    """The memory of one session, bounded: what is oldest is forgotten first.

    A tool call that a model asked for becomes an action by the span of the tool. Where only models are traced there is
    none, and it becomes one when its result is given to the model.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: dict[tuple[str, ...], None] = {}
        self._asked: dict[str, Happening] = {}  # call id → what the model asked for
        self._acted: dict[str, str] = {}  # call id → action id
        self._nameless: Counter[str] = Counter()  # actions of a tool whose span named no call

    def __len__(self) -> int:
        return len(self._seen) + len(self._asked) + len(self._acted) + len(self._nameless)

    def fresh(self, happenings: Iterable[Happening]) -> list[Happening]:
        """Those of what happened, in order, that were not told before; calls become actions or nothing."""
        found: list[Happening] = []
        for one in happenings:
            if one.kind == "call":
                _keep(self._asked, one.call_id, one, self._most)
            elif one.key not in self._seen:
                told = self._told(one)
                for key in (key for each in told for key in (each.key, *each.also)):
                    _keep(self._seen, key, None, self._most)
                found += told
        return found

    def _told(self, one: Happening) -> list[Happening]:
        if one.kind == "tool_call":
            return [self._completed(one)]
        if one.kind == "tool_result" and not one.action_id:
            acted, result = self._resulted(one)
            return [*acted, result]
        return [one]

    def _completed(self, action: Happening) -> Happening:
        """An action with the arguments that the model gave, where its span has none."""
        asked = self._asked.get(action.call_id) if action.call_id else None
        if action.call_id:
            _keep(self._acted, action.call_id, action.action_id, self._most)
        else:
            self._nameless[action.tool] += 1
            if len(self._nameless) > self._most:
                self._nameless.clear()
        if action.arguments is not None:
            return action
        given = {"input": action.given} if action.given else {}
        return structs.replace(action, arguments=given if asked is None else asked.arguments)

    def _resulted(self, result: Happening) -> tuple[list[Happening], Happening]:
        """A result that a model was given, with its action; and the action itself where no span tells of it."""
        action_id, asked = self._acted.get(result.call_id), self._asked.get(result.call_id)
        if action_id is not None:
            key = ("action result", action_id)
            return [], structs.replace(result, action_id=action_id, also=(*result.also, key))
        if asked is None:
            return [], result
        if self._nameless[asked.tool] > 0:
            self._nameless[asked.tool] -= 1
            return [], result
        action_id = f"call-{hash_of(result.call_id)}"
        _keep(self._acted, result.call_id, action_id, self._most)
        action = structs.replace(asked, kind="tool_call", key=("action", action_id), action_id=action_id)
        return [action], structs.replace(result, action_id=action_id)


def _keep(kept: dict[K, V], key: K, value: V, most: int) -> None:
    kept[key] = value
    if len(kept) > most:
        del kept[next(iter(kept))]
