"""Requests to a node and its replies, without sending anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from ioint_node.client.errors import NodeAwayError, NodeRefusedError
from ioint_node.client.values import Decision, Verdict

T = TypeVar("T")
AWAY: Final = frozenset({408, 500, 502, 503, 504})  # the same request may succeed later
DETAIL_CHARS: Final = 500
NOT_UNDERSTOOD: Final = "not_understood"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request; `twice` says that sending it twice does what sending it once does."""

    method: str
    path: str
    body: bytes = field(default=b"", repr=False)
    twice: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back."""

    status: int
    body: bytes = field(repr=False)

    def read(self, kind: type[T]) -> T:
        """The answer as a value.

        Raises:
            NodeRefusedError: the node did not serve the request.
            NodeAwayError: it cannot serve it now, or what answered is no node.
        """
        if self.status in AWAY:
            raise NodeAwayError(f"the node answered {self.status}", sure=self.status == 503)
        if not 200 <= self.status < 300:
            raise self._refusal()
        try:
            return msgspec.json.decode(self.body or b"null", type=kind)
        except msgspec.ValidationError as error:
            # It did answer: whatever it said, nothing is to go on as if it had not.
            raise NodeRefusedError(self.status, NOT_UNDERSTOOD, str(error)) from None
        except msgspec.DecodeError:
            raise NodeAwayError("what answered is no node: it does not speak JSON", sure=True) from None

    def decision(self) -> Decision:
        """The answer as a decision; where a newer node says more than is understood here, what matters of it.

        Raises:
            NodeRefusedError: the node did not serve the request, or said no decision.
            NodeAwayError: it cannot serve it now, or what answered is no node.
        """
        try:
            return self.read(Decision)
        except NodeRefusedError as error:
            if error.name != NOT_UNDERSTOOD:
                raise
            return self.read(Verdict).decision()

    @property
    def too_fast(self) -> bool:
        """Whether the node says that this token asks too often. Then nothing goes on: who floods gets no fail mode."""
        return self.status == 429

    @property
    def unknown(self) -> bool:
        """Whether the node knows nothing of what the path names."""
        return self.status == 404

    def _refusal(self) -> NodeRefusedError:
        try:
            said = msgspec.json.decode(self.body, type=dict[str, Any])
        except msgspec.MsgspecError:
            said = {}
        name = str(said.get("type", "")).rpartition(":")[2] or "refused"
        return NodeRefusedError(self.status, name, str(said.get("detail", ""))[:DETAIL_CHARS])


def post(*path: str, body: Mapping[str, Any], twice: bool = True) -> Call:
    """A POST of JSON below `/api/v1`; what is None is left out, segments of the path are quoted."""
    given = {name: value for name, value in body.items() if value is not None}
    return Call(method="POST", path=_path(path), body=msgspec.json.encode(given), twice=twice)


def get(*path: str, **query: object) -> Call:
    """A GET below `/api/v1`; what is None is left out of the query."""
    given = urlencode({name: str(value) for name, value in query.items() if value is not None})
    return Call(method="GET", path=_path(path) + (f"?{given}" if given else ""))


def _path(segments: tuple[str, ...]) -> str:
    return "/".join(("/api/v1", *(quote(one, safe="") for one in segments)))
