"""What others newly warn of, looked for in the past; what is found, and what people make of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from ioint_node.flows.hunt import Hunter, look
from ioint_node.flows.paths import KeptPath, kept
from ioint_node.reputation.view import indicator_id
from ioint_node.store import incidents, indicators, matches, novel
from ioint_node.store.incidents import EACH_MOST, NOTES_MOST, Hit, Wanted
from ioint_node.store.retention import Retention, forget
from ioint_node.store.schema import matches as matches_table
from ioint_node.store.schema import sessions
from ioint_node.store.times import DAY_MS, day_of, to_text
from ioint_protocol import Pattern, PatternStep, Report, Withdrawal, encode_record, pattern_id, record_id
from ioint_protocol.pattern import Matcher
from ioint_taxonomy import load_taxonomy
from msgspec.structs import replace
from sqlalchemy import insert, select

from tests.node.exchange.test_novel_cases import FAMILY, INCIDENT, LIST, ORDINARY, READ, SEND

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

NOVEL = Pattern(
    steps=(
        PatternStep(verbs=("read",), resources=("hr_record",)),
        PatternStep(verbs=("send",), resources=("email",), provenances=("tool_output",), flow=(0,)),
    )
)
NAME = pattern_id(NOVEL)
PACKAGE = "pkg:npm/left-pad@1.3"
PAGE = "/api/v1/incidents"


def warning(node: Node, pattern: Pattern = NOVEL) -> Report:
    entry = node.patterns(1)[0]
    return replace(node.report(entry), pat=pattern)


async def past(
    node: Node, name: str, path: str, *, flagged: bool = False, actor: str = "a-1", ago: int = 3
) -> None:
    """A session of some days ago that is closed."""
    at = node.clock.now - ago * DAY_MS
    row: Mapping[str, Any] = {
        "id": name,
        "actor": actor,
        "declaration": "{}",
        "family": "research",
        "family_confidence": 1.0,
        "envelope": "{}",
        "state": "closed",
        "outcome": "success",
        "verdict": "out_of_scope" if flagged else "in_scope",
        "risk": 0.5,
        "actions": 3,
        "opened_at": to_text(at),
        "updated_at": to_text(at),
        "closed_at": to_text(at),
        "principal": "",
    }

    async def write(connection: Any) -> None:
        await connection.execute(insert(sessions).values(**row))
        await novel.add_path(connection, name, day_of(at), path, flagged=flagged)

    await node.parts.store.write(write)


async def hunt(node: Node) -> Hunter:
    """A node that has just started looks for what it believes."""
    hunter = Hunter(node.parts.exchange, now=node.clock)
    await hunter.load()
    await hunter.hunt(node.parts.assess)
    return hunter


async def listed(node: Node, query: str = "") -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await node.json(PAGE + query))["items"]
    return items


async def row_of(node: Node, pattern: str) -> dict[str, Any]:
    async with node.parts.store.read() as connection:
        found = await indicators.get(connection, indicator_id(pattern))
    assert found is not None
    return found


async def act(node: Node, incident: str, **body: Any) -> Any:
    answer = await node.post(f"{PAGE}/{incident}", body, "soc")
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def test_a_novel_pattern_is_found_in_sessions_that_ended_before_it_came(node: Node) -> None:
    await past(node, "bad", INCIDENT, flagged=True, actor="mailer")
    await past(node, "same", INCIDENT, actor="mailer")
    await past(node, "good", ORDINARY)
    await node.hear("contoso", warning(node))
    hunter = await hunt(node)
    found = await listed(node)
    assert {(one["session_id"], one["actor"], one["found"], one["pattern"]) for one in found} == {
        ("bad", "mailer", "retro", NAME),
        ("same", "mailer", "retro", NAME),
    }
    assert all((one["state"], one["warning"], one["sessions"]) == ("open", "live", 1) for one in found)
    row = await row_of(node, NAME)
    assert (row["local_hits"], row["blast_radius"], row["seen_locally"]) == (2, 1, True)
    assert hunter.waiting == 0


async def test_a_match_found_in_the_past_is_judged_as_its_session_was(node: Node) -> None:
    await past(node, "bad", INCIDENT, flagged=True)
    await past(node, "same", INCIDENT)
    await node.hear("contoso", warning(node))
    await hunt(node)
    async with node.parts.store.read() as connection:
        own = await matches.own_records(connection, (NAME,), day_of(node.clock.now))
    assert (own[NAME].flagged, own[NAME].benign) == (1, 1)


async def met(node: Node, subject: str) -> None:
    """A session of yesterday met a pattern or subject."""
    one = matches.Met(
        pattern=subject,
        session_id="bad",
        actor="a-1",
        principal="",
        at=to_text(node.clock.now - DAY_MS),
        judged="benign",
    )
    await node.parts.store.write(lambda c: matches.add_met(c, (one,)))


async def test_a_catalogue_pattern_is_found_where_it_was_met(node: Node) -> None:
    (entry,) = node.patterns(1)
    await met(node, entry)
    await node.hear("contoso", node.report(entry))
    await hunt(node)
    (found,) = await listed(node)
    assert (found["session_id"], found["label"]) == (
        "bad",
        node.parts.exchange.catalogue.entries[entry].title,
    )


async def test_a_public_subject_is_found_where_it_was_used(node: Node) -> None:
    (entry,) = node.patterns(1)
    await met(node, PACKAGE)
    report = replace(node.report(entry, bad=2), kind="subject", pat=None, subj=PACKAGE)
    await node.hear("contoso", report)
    await hunt(node)
    (found,) = await listed(node)
    assert (found["session_id"], found["label"]) == ("bad", PACKAGE)
    closed = await act(node, found["id"], do="close", closed_as="expected_use")
    (offer,) = closed["then"]
    assert (await node.post(offer["path"], offer["body"], "soc")).status == 201


async def test_looking_twice_finds_the_same(node: Node) -> None:
    for number in range(EACH_MOST + 5):
        await past(node, f"bad-{number:02}", INCIDENT)
    await node.hear("contoso", warning(node))
    await hunt(node)
    before = await listed(node, "?limit=100")
    await node.parts.store.write(lambda c: incidents.forget_hunts(c, (NAME,)))
    await hunt(node)
    assert await listed(node, "?limit=100") == before


async def test_many_sessions_of_one_pattern_share_an_incident_that_counts_them(node: Node) -> None:
    for number in range(EACH_MOST + 5):
        await past(node, f"bad-{number:02}", INCIDENT)
    await node.hear("contoso", warning(node))
    await hunt(node)
    found = await listed(node, "?limit=100")
    (rest,) = [one for one in found if one["session_id"] is None]
    assert len(found) == EACH_MOST + 1
    assert rest["sessions"] == 5
    assert rest["actor"] is None


async def test_what_was_looked_for_before_a_restart_is_not_looked_for_again(node: Node) -> None:
    await past(node, "bad", INCIDENT)
    await node.hear("contoso", warning(node))
    await hunt(node)
    again = await hunt(node)
    assert again.counts["patterns"] == 0


async def test_what_only_we_report_or_allow_is_no_incident(node: Node) -> None:
    await past(node, "bad", INCIDENT)
    await node.hear("northwind", warning(node))
    hunter = await hunt(node)
    assert hunter.counts["patterns"] == 0
    assert await listed(node) == []


async def test_an_open_session_that_had_done_it_already_is_an_incident(node: Node) -> None:
    await node.open_session("s-1", "a-1")
    tool = {"action_id": "x-1", "tool": "read_hr_record", "arguments": {"id": "7"}}
    assert (await node.post("/api/v1/sessions/s-1/actions", tool)).status == 200
    live = node.parts.assess.live.get("s-1")
    assert live is not None
    (step,) = live.tracker.steps
    pattern = Pattern(
        steps=(
            PatternStep(
                verbs=(step.verb,),
                resources=(step.resource,),
                sensitivity=load_taxonomy().sensitivity_rank(step.sensitivity),
                outside=live.tracker.outside[0],
            ),
        )
    )
    assert live.tracker.outside[0]
    await node.hear("contoso", warning(node, pattern))
    await hunt(node)
    (found,) = await listed(node)
    assert (found["session_id"], found["found"]) == ("s-1", "retro")
    assert (await node.post("/api/v1/sessions/s-1/close", {"outcome": "done"})).status == 200
    assert len(await listed(node)) == 1


async def test_an_open_session_that_nobody_looked_at_is_looked_at_when_it_ends(node: Node) -> None:
    await node.open_session("s-1", "a-1")
    tool = {"action_id": "x-1", "tool": "read_hr_record", "arguments": {"id": "7"}}
    await node.post("/api/v1/sessions/s-1/actions", tool)
    live = node.parts.assess.live.get("s-1")
    assert live is not None
    (step,) = live.tracker.steps
    pattern = Pattern(steps=(PatternStep(verbs=(step.verb,), resources=(step.resource,), outside=True),))
    await node.hear("contoso", warning(node, pattern))
    node.clock.now += 1_000
    assert (await node.post("/api/v1/sessions/s-1/close", {"outcome": "done"})).status == 200
    (found,) = await listed(node)
    assert (found["session_id"], found["found"]) == ("s-1", "retro")


async def test_a_pattern_that_completes_under_a_warning_is_an_incident_at_once(node: Node) -> None:
    await node.open_session("s-0", "a-1")
    tool = {"action_id": "x-1", "tool": "read_hr_record", "arguments": {"id": "7"}}
    await node.post("/api/v1/sessions/s-0/actions", tool)
    live = node.parts.assess.live.get("s-0")
    assert live is not None
    (step,) = live.tracker.steps
    pattern = Pattern(steps=(PatternStep(verbs=(step.verb,), resources=(step.resource,), outside=True),))
    await node.hear("contoso", warning(node, pattern))
    node.clock.now += 1_000
    await node.open_session("s-1", "a-2")
    await node.post("/api/v1/sessions/s-1/actions", tool | {"durable": True})
    (found,) = await listed(node)
    assert (found["session_id"], found["found"], found["actor"]) == ("s-1", "live", "a-2")


async def test_an_incident_goes_from_hand_to_hand_and_says_who_did_what(node: Node) -> None:
    await past(node, "bad", INCIDENT)
    await node.hear("contoso", warning(node))
    await hunt(node)
    (found,) = await listed(node)
    name = found["id"]
    await act(node, name, do="assign", assignee="mira")
    assert [one["id"] for one in await listed(node, "?state=assigned&assignee=mira")] == [name]
    await act(node, name, do="note", note="the mailer was asked to")
    closed = await act(node, name, do="close", closed_as="expected_use", note="month end")
    assert (closed["state"], closed["closed_as"]) == ("closed", "expected_use")
    assert [(one["what"], one["text"]) for one in closed["notes"]] == [
        ("opened", ""),
        ("assigned", "mira"),
        ("note", "the mailer was asked to"),
        ("closed", "expected_use: month end"),
    ]
    assert {one["by"].split(":")[0] for one in closed["notes"]} == {"node", "token"}
    assert (await node.json(PAGE))["unsettled"] == 0
    assert await listed(node, "?state=unsettled") == []
    again = await act(node, name, do="reopen")
    assert (again["state"], again["closed_as"]) == ("assigned", None)


async def judged(node: Node, session: str) -> str:
    async with node.parts.store.read() as connection:
        found = await connection.execute(
            select(matches_table.c.judged).where(matches_table.c.session_id == session)
        )
        return str(found.scalar_one())


async def test_what_an_incident_is_closed_as_is_own_evidence(node: Node) -> None:
    await past(node, "bad", INCIDENT)
    await node.hear("contoso", warning(node))
    await hunt(node)
    (found,) = await listed(node)
    assert await judged(node, "bad") == "benign"
    closed = await act(node, found["id"], do="close", closed_as="true_positive")
    assert await judged(node, "bad") == "flagged"
    assert [one["body"]["kind"] for one in closed["then"]] == ["confirm"]
    await act(node, found["id"], do="reopen")
    assert await judged(node, "bad") == "benign"
    closed = await act(node, found["id"], do="close", closed_as="false_positive")
    assert [one["body"]["kind"] for one in closed["then"]] == ["dispute", "allow"]


async def test_what_is_offered_after_closing_is_taken(node: Node) -> None:
    await past(node, "bad", INCIDENT)
    await node.hear("contoso", warning(node))
    await hunt(node)
    (found,) = await listed(node)
    closed = await act(node, found["id"], do="close", closed_as="false_positive")
    for offer in closed["then"]:
        assert (await node.post(offer["path"], offer["body"], "soc")).status == 201, offer


async def test_a_warning_that_is_taken_back_leaves_its_incidents_and_says_so(node: Node) -> None:
    await past(node, "bad", INCIDENT)
    report = warning(node)
    await node.hear("contoso", report)
    hunter = await hunt(node)
    await node.hear("contoso", Withdrawal(of=record_id(encode_record(report)), reason="false_positive"))
    hunter.take(node.parts.exchange.beliefs.all().values())
    await hunter.hunt(node.parts.assess)
    (found,) = await listed(node)
    assert (found["state"], found["warning"]) == ("open", "withdrawn")


async def test_a_warning_that_comes_and_goes_leaves_room_for_the_notes_of_people(node: Node) -> None:
    await past(node, "bad", INCIDENT)
    await node.hear("contoso", warning(node))
    await hunt(node)
    (one,) = await listed(node)
    for number in range(NOTES_MOST):
        for warned in ("withdrawn", "live"):
            await node.parts.store.write(
                partial(incidents.mark, patterns=(NAME,), warning=warned, now=node.clock.now + number)
            )
    await act(node, one["id"], do="assign", assignee="mira")
    notes = (await node.json(f"{PAGE}/{one['id']}"))["notes"]
    assert [note["what"] for note in notes] == ["opened", "warning", "warning", "assigned"]
    assert [note["text"] for note in notes[1:3]] == ["withdrawn", "live"]


async def test_what_was_found_live_stays_so_when_the_session_ends_in_the_same_batch(node: Node) -> None:
    await node.hear("contoso", warning(node))
    both = [
        Hit(pattern=NAME, session_id="s", actor="a", found=found, tier="precautionary")
        for found in ("live", "retro")
    ]
    await node.parts.store.write(partial(incidents.open_all, hits=both, now=node.clock.now))
    assert [one["found"] for one in await listed(node)] == ["live"]


async def test_a_warning_that_was_taken_back_is_looked_for_anew_when_it_comes_again(node: Node) -> None:
    report = warning(node)
    await node.hear("contoso", report)
    hunter = await hunt(node)
    await node.hear("contoso", Withdrawal(of=record_id(encode_record(report)), reason="mistake"))
    hunter.take(node.parts.exchange.beliefs.all().values())
    await hunter.hunt(node.parts.assess)
    await past(node, "bad", INCIDENT, ago=0)
    await node.hear("fabrikam", warning(node))
    hunter.take(node.parts.exchange.beliefs.all().values())
    await hunter.hunt(node.parts.assess)
    assert [one["session_id"] for one in await listed(node)] == ["bad"]


async def test_a_warning_that_ends_while_it_is_looked_for_is_told_so_afterwards(node: Node) -> None:
    await past(node, "bad", INCIDENT)
    report = warning(node)
    await node.hear("contoso", report)
    held = tuple(node.parts.exchange.beliefs.all().values())
    await hunt(node)
    await node.parts.store.write(lambda c: incidents.forget_hunts(c, (NAME,)))
    late = Hunter(node.parts.exchange, now=node.clock)
    late.take(held)
    await node.hear("contoso", Withdrawal(of=record_id(encode_record(report)), reason="mistake"))
    await late.hunt(node.parts.assess)
    await late.hunt(node.parts.assess)
    (found,) = await listed(node)
    assert (found["warning"], late.waiting) == ("withdrawn", 0)


async def test_what_cannot_be_done_is_refused_with_the_reason(node: Node) -> None:
    await past(node, "bad", INCIDENT)
    await node.hear("contoso", warning(node))
    await hunt(node)
    (found,) = await listed(node)
    name = f"{PAGE}/{found['id']}"
    await act(node, found["id"], do="close", closed_as="benign")
    cases = (
        (name, {"do": "close"}, 400),
        (name, {"do": "note"}, 400),
        (name, {"do": "assign"}, 400),
        (name, {"do": "assign", "assignee": "mira"}, 409),
        (name, {"do": "close", "closed_as": "true_positive"}, 409),
        (f"{PAGE}/{'0' * 16}", {"do": "reopen"}, 404),
    )
    assert [(await node.post(path, body, "soc")).status for path, body, _ in cases] == [w for *_, w in cases]
    assert (await node.post(name, {"do": "reopen"}, "engine")).status == 403
    assert (await node.get(f"{PAGE}?state=gone")).status == 400


async def test_pages_of_incidents_follow_one_another(node: Node) -> None:
    for number in range(3):
        await past(node, f"bad-{number}", INCIDENT)
    await node.hear("contoso", warning(node))
    await hunt(node)
    first = await node.json(f"{PAGE}?limit=2")
    rest = await node.json(f"{PAGE}?limit=2&cursor={first['next']}")
    assert len({one["id"] for one in (*first["items"], *rest["items"])}) == 3
    assert rest["next"] is None


async def test_closed_incidents_and_old_paths_are_forgotten(node: Node) -> None:
    await past(node, "bad", INCIDENT)
    await past(node, "old", INCIDENT, ago=29)
    await node.hear("contoso", warning(node))
    await hunt(node)
    for one in await listed(node):
        await act(node, one["id"], do="close", closed_as="benign")
    later = node.clock.now + (incidents.KEPT_DAYS + 1) * DAY_MS
    await node.parts.store.write(lambda c: forget(c, later, Retention()))
    assert await listed(node) == []
    async with node.parts.store.read() as connection:
        assert await novel.paths_after(connection, "", 0, 10) == ([], None)


async def test_a_flagged_session_counts_as_no_ordinary_work(node: Node) -> None:
    await past(node, "bad", INCIDENT, flagged=True)
    await past(node, "good", ORDINARY)
    async with node.parts.store.read() as connection:
        assert await novel.ordinary_paths(connection, 0) == (ORDINARY,)


async def test_all_patterns_together_have_a_bound(node: Node, monkeypatch: Any) -> None:
    monkeypatch.setattr(incidents, "OPEN_MOST", 3)
    hits = [
        Hit(pattern=f"{number:064x}", session_id=f"s{number}", actor="a", found="live", tier="advisory")
        for number in range(6)
    ]
    await node.parts.store.write(lambda c: incidents.open_all(c, hits, node.clock.now))
    async with node.parts.store.read() as connection:
        found, _ = await incidents.page(connection, Wanted(), 100)
    assert sum(one.session_id is not None for one in found) == 3


def test_looking_tells_each_pattern_of_each_path_once() -> None:
    matcher = Matcher({NAME: NOVEL}, load_taxonomy())
    paths: list[tuple[str, KeptPath | str]] = [
        ("a", INCIDENT),
        ("b", ORDINARY),
        ("c", kept(FAMILY, (LIST, READ, SEND, SEND), (False,) * 4)),
    ]
    assert look(paths, matcher) == [(NAME, "a"), (NAME, "c")]


async def test_a_warning_that_comes_and_goes_does_not_keep_people_from_their_incident(node: Node) -> None:
    hit = Hit(pattern=NAME, session_id="s-1", actor="a-1", found="live", tier="corroborated")
    name = incidents.incident_id(NAME, "s-1")

    async def come_and_go(connection: Any) -> None:
        await incidents.open_all(connection, [hit], node.clock.now)
        await incidents.note(connection, name, "ours", by="token:1", now=node.clock.now)
        for turn in range(2 * incidents.NOTES_MOST):
            warning = "live" if turn % 2 else "ended"
            await incidents.mark(connection, [NAME], warning, node.clock.now + turn)

    await node.parts.store.write(come_and_go)
    answer = await node.post(f"{PAGE}/{name}", {"do": "assign", "assignee": "mira"}, "soc")
    assert answer.status == 200
    told = [(note["what"], note["text"]) for note in (await answer.json())["notes"]]
    assert told == [
        ("opened", ""),
        ("note", "ours"),
        ("warning", "ended"),
        ("warning", "live"),
        ("assigned", "mira"),
    ]


async def test_an_incident_names_no_pattern_above_the_clearance_of_who_reads_it(node: Node) -> None:
    (entry,) = node.patterns(1)
    await met(node, entry)
    await node.hear("contoso", node.report(entry, tlp="amber_strict"))
    await hunt(node)
    (seen,) = (await node.json(PAGE, "admin"))["items"]
    assert seen["pattern"] == entry
    (found,) = await listed(node)
    one = await node.json(f"{PAGE}/{found['id']}")
    closed = await act(node, found["id"], do="close", closed_as="false_positive")
    title = node.parts.exchange.catalogue.entries[entry].title
    for shown in (found, one, closed):
        assert (shown["pattern"], shown["label"]) == ("", "A pattern above the clearance of this token")
        assert entry not in str(shown)
        assert title not in str(shown)
    assert "then" not in closed
    assert await listed(node, f"?pattern={entry}") == []
    assert len((await node.json(f"{PAGE}?pattern={entry}", "admin"))["items"]) == 1
