"""Numbers and closed lists that documents repeat are those of the program."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from ioint_node.access.rights import MAY
from ioint_node.admission import Limits
from ioint_node.flows.prune import KEPT_DAYS
from ioint_node.flows.requests import EVENT_KINDS, MEANS_POSITIVE, OUTCOMES
from ioint_node.network import MEET_S
from ioint_node.peers import AntiEntropyLimits, PeerLimits
from ioint_node.peers.puller import PullLimits
from ioint_node.peers.selection import SelectionLimits
from ioint_node.scoring.evidence import FEEDBACK_WEIGHTS
from ioint_node.scoring.levels import AUTONOMY_STEPS
from ioint_node.scoring.model import load_model
from ioint_node.scoring.trust import KINDS
from ioint_node.web.requests import ActorBody, CloseBody, EventBody, FeedbackBody, OpinionBody, TokenBody
from ioint_protocol.records import DISPUTE_REASONS, WITHDRAWAL_REASONS

DOCS = Path(__file__).parents[2] / "docs"


def row(document: str, first: str) -> str:
    """The rest of the one table row whose first cell is `first`."""
    found = re.findall(rf"(?m)^\| {re.escape(first)} \| (.*)\|$", (DOCS / document).read_text())
    assert len(found) == 1, (document, first, found)
    return str(found[0])


def literal(body: type, field: str) -> set[Any]:
    return set(get_args(get_type_hints(body, include_extras=True)[field]))


@pytest.mark.parametrize("name", ["borderline", "out_of_scope", "publish"])
def test_the_thresholds_are_those_of_the_shipped_model(name: str) -> None:
    assert row("model-card.md", f"`{name}`").startswith(f"{getattr(load_model().thresholds, name)} |")


def test_the_ladder_of_autonomy_is_that_of_the_code() -> None:
    text = (DOCS / "trust.md").read_text()
    head = re.search(r"(?m)^\| lower \| below (\.\d) (.*)\|$", text)
    assert head is not None
    steps = tuple(float(step) for step in re.findall(r"from (\.\d)", head.group(2)))
    assert (float(head.group(1)), *steps[1:]) == steps == AUTONOMY_STEPS


@pytest.mark.parametrize(
    ("first", "codes", "body", "field"),
    [
        ("`actor.kind`", KINDS.keys(), ActorBody, "kind"),
        ("event `kind`", EVENT_KINDS, EventBody, "kind"),
        ("`outcome`", OUTCOMES, CloseBody, "outcome"),
        ("feedback `kind`", FEEDBACK_WEIGHTS.keys(), FeedbackBody, "kind"),
        ("opinion `kind`", None, OpinionBody, "kind"),
        ("token `role`", MAY.keys(), TokenBody, "role"),
        ("`reason` of a dispute", DISPUTE_REASONS, None, ""),
        ("`reason` of a withdrawal", WITHDRAWAL_REASONS, None, ""),
    ],
)
def test_the_closed_lists_of_the_interface_are_documented(
    first: str, codes: AbstractSet[str] | None, body: type | None, field: str
) -> None:
    written = set(re.findall(r"`(\w+)`", row("api.md", first))) - {"positive"}
    assert codes is None or written == codes
    assert body is None or written == literal(body, field)


def test_feedback_that_means_one_thing_is_documented_so() -> None:
    positive, negative, either = re.split(r" \(with[^)]*\)", row("api.md", "feedback `kind`"))[:3]
    for part, means in ((positive, True), (negative, False), (either, None)):
        assert {MEANS_POSITIVE.get(kind) for kind in re.findall(r"`(\w+)`", part)} == {means}


def test_what_an_engine_may_not_read_is_documented() -> None:
    assert "review" not in MAY["engine"]
    assert "`/approvals` and `/outgoing`" in row("api.md", "`engine`")


def test_the_numbers_of_the_exchange_are_those_of_the_code() -> None:
    text = " ".join((DOCS / "exchange.md").read_text().split())
    limits, links, peers = Limits(), SelectionLimits(), PeerLimits()
    told = (
        f"queued for **{limits.push_members}** connected members",
        f"larger than **{limits.push_bytes // 1024} KiB**",
        f"whole to **{limits.relay_members}** others, announced to **{limits.relay_announcements}** more",
        f"waits **{PullLimits().grace_s} s** for a push",
        f"at random every {AntiEntropyLimits().every_s:.0f} s",
        f"at most {links.everyone} other members",
        f"keeps **{links.outbound}** links",
        f"one of {peers.inbound} inbound places, of which one group has at most {peers.inbound_per_group}",
        f"first turn ends after {PullLimits().first_s:.0f} s, catching up after {AntiEntropyLimits().first_s:.0f} s",
        f"a turn ends after {PullLimits().turn_s:.0f} s, catching up after {AntiEntropyLimits().turn_s:.0f} s",
        f"more than {limits.records_per_hour:,} records or {limits.segments_per_hour:,} segments an hour",
        f"once more than {limits.held_bytes // 2**30} GiB of its log is held",
        f"more than {peers.calls_per_s_per_peer} things a second, bursts of {peers.burst_calls_per_peer:,} aside",
        f"asking for the roster count for {peers.comparing_calls}",
        f"After {MEET_S:.0f} s those that can be reached are enough",
        f"older than {KEPT_DAYS} days",
    )
    assert [sentence for sentence in told if sentence not in text] == []
