"""Server-sent events of the node's stream, line by line."""

from __future__ import annotations

from typing import Any

import msgspec

from ioint_node.client.values import StreamEvent


class Reader:
    """Takes the lines of a stream and gives the events; `last` is where to go on after a break."""

    def __init__(self, last: int | None = None) -> None:
        self.last = last
        self._event = ""
        self._data: list[str] = []

    def feed(self, line: str) -> StreamEvent | None:
        """Take one line without its end; the event that it completes."""
        if not line:
            return self._complete()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "id" if value.isascii() and value.isdigit():
                self.last = int(value)
            case "event":
                self._event = value
            case "data":
                self._data.append(value)
        return None

    def again(self) -> None:
        """Begin with a new connection: what was not complete is forgotten."""
        self._event, self._data = "", []

    def _complete(self) -> StreamEvent | None:
        event, data = self._event, "\n".join(self._data)
        self.again()
        if not data:
            return None
        try:
            said = msgspec.json.decode(data, type=dict[str, Any])
        except msgspec.MsgspecError:
            return None  # not ours: a newer node may say more than objects
        return StreamEvent(seq=self.last or 0, event=event or "message", data=said)
