"""The node's side of the proxy: one session for one connection of an MCP client.

The session is declared at the first call, when it is known who the client is and which tools the server has. MCP says
nothing of what a person asked: the declaration is what the operator gave, else what the client says in `_meta` or the
agent with the tool `declare_intent`, else a vague one made of the server's name, which is judged as what it is.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Final

import anyio
from msgspec.structs import replace

from ioint_node.client import (
    AsyncClient,
    AsyncSession,
    ClientError,
    Decision,
    NodeAwayError,
    NodeRefusedError,
    Reason,
)
from ioint_node.proxy.limits import ProxyLimits
from ioint_node.proxy.messages import Peer, Wanted

log = logging.getLogger(__name__)
_NO_ID: Final = re.compile(r"[^A-Za-z0-9._@:-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the operator says of the agent and of the server behind the proxy; what is empty is found out."""

    actor: str = ""
    declared: str = ""
    family: str | None = None
    server: str = ""
    on_behalf_of: str | None = None
    watch: bool = False  # refuse nothing, and say what would have been refused
    limits: ProxyLimits = field(default_factory=ProxyLimits)


class Judge:
    """Asks the node about calls, and tells it what became of them."""

    def __init__(self, client: AsyncClient, terms: Terms) -> None:
        self._client = client
        self._terms = terms
        self._lock = anyio.Lock()
        self._session: AsyncSession | None = None
        self._tools: dict[str, str] = {}
        self._declared = terms.declared
        self._named = terms.server
        self._parent: tuple[str, str] | None = None
        self.peer = Peer()

    @property
    def watch(self) -> bool:
        """Whether nothing is refused."""
        return self._terms.watch

    @property
    def limits(self) -> ProxyLimits:
        """The proxy's bounds."""
        return self._terms.limits

    def named(self, server: str) -> None:
        """Take in what the server calls itself, unless the operator said it."""
        self._named = self._named or server[: self.limits.name_chars]

    def child_of(self, parent: tuple[str, str]) -> None:
        """Take in which action started this connection."""
        self._parent = self._parent or parent

    async def declare(self, text: str) -> str:
        """Take in what the client or the agent says that it is doing; what of it holds, in a sentence.

        What the operator declared is not changed by them.
        """
        if self._terms.declared or self._terms.family:
            return "The intent of this connection was declared by its operator; it stays as it is."
        async with self._lock:
            if text == self._declared:
                return "This is what is declared already."
            before, self._declared = self._declared, text
            if self._session is None:
                await self._open()
                return "Declared."
            try:
                opened = await self._session.declare(text)
            except NodeRefusedError as error:
                self._declared = before
                return f"Not declared: {error}"
            return "Declared." if opened is None else f"Declared, understood as {opened.declared.family}."

    async def tools_are(self, tools: Mapping[str, str], *, whole: bool) -> None:
        """Take in a page of the server's tools, each with its digest; `whole` says that it begins the list anew."""
        before = dict(self._tools)
        if whole:
            self._tools = {}
        self._tools |= dict(list(tools.items())[: self.limits.tools - len(self._tools)])
        if self._session is None or not before:
            return
        changed = sorted(name for name in before.keys() & tools.keys() if before[name] != tools[name])
        added = sorted(self._tools.keys() - before.keys())
        if added or changed:
            said = {"kind": "composition", "added": added, "changed": changed}
            await self._told(self._session.observation(said))

    async def decide(self, wanted: Wanted) -> Decision:
        """Ask about one call.

        Raises:
            NodeRefusedError: the node does not take it; it must not be run.
        """
        session = await self._opened()
        return await session.act(
            wanted.tool[: self.limits.name_chars], wanted.arguments, server=self._named or None
        )

    async def waited(self, wanted: Wanted, decision: Decision) -> Decision:
        """Wait for the person that a call waits for, for as long as the operator said."""
        session = await self._opened()
        return await session.waited(
            decision,
            wanted.tool[: self.limits.name_chars],
            wanted.arguments,
            server=self._named or None,
            wait_s=self.limits.wait_s,
        )

    async def said(self, wanted: Wanted, decision: Decision, *, run: bool) -> Decision:
        """Take the word of the person at the client: a decision where it counts as one, feedback else.

        A yes approves what is held only where the token may approve. A no is always obeyed.
        """
        session = await self._opened()
        held = decision.approval.id if decision.held and decision.approval is not None else None
        try:
            if held is not None:
                await self._client.rule(held, approve=run)
                return await self.decide(wanted) if run else declined(decision)
            await session.feedback("approve" if run else "reject", positive=run, action_id=decision.action_id)
        except (NodeRefusedError, NodeAwayError) as error:
            log.info("what the person at the client said is not the node's decision: %s", error)
        return decision if run else declined(decision)

    async def result(self, action_id: str, text: str, *, error: str | None) -> None:
        """Tell what a call gave."""
        if self._session is not None:
            await self._told(self._session.tool_result(action_id, text, error=error))

    async def close(self, outcome: str) -> None:
        """Tell the end."""
        if self._session is not None:
            await self._told(self._session.close(outcome))

    async def _opened(self) -> AsyncSession:
        async with self._lock:
            return self._session or await self._open()

    async def _open(self) -> AsyncSession:
        peer, terms = self.peer, self._terms
        composition = {"tools": sorted(self._tools), "model": f"{peer.name} {peer.version}".strip()}
        text = self._declared or (
            "" if terms.family else f"use the tools of the MCP server {self._named or 'here'}"
        )
        self._session = await self._client.session(
            actor=terms.actor or _NO_ID.sub("-", f"mcp:{peer.name or 'client'}")[: self.limits.name_chars],
            declared=text,
            family=terms.family,
            tools=sorted(self._tools),
            composition=composition,
            on_behalf_of=terms.on_behalf_of,
            parent=self._parent,
        )
        return self._session

    @staticmethod
    async def _told(telling: Awaitable[object]) -> None:
        try:
            await telling
        except ClientError as error:
            log.warning("the node does not take what it is told: %s", error)


def declined(decision: Decision, why: str = "the person at the client said no") -> Decision:
    """The decision where a person was asked and did not say yes."""
    reason = Reason(code="person", text=why)
    return replace(decision, allowed=False, approval=None, reasons=(reason,))
