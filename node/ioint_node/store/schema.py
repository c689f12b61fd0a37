"""The tables, in one place. Everything is SQLAlchemy Core: the same statements run on SQLite and PostgreSQL.

Times are RFC 3339 text in UTC with milliseconds, days are integers since 1970-01-01 (UTC), identifiers of the
protocol are lower-case hex. A row that others must hear about is written in the transaction that made it true:
`outbox` for members, `stream` for engines.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

IS_DISPUTE = "records.kind = 'dispute'"
"""Which records are disputes: few, so that an index has them alone."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
# Texts that are looked for by how they begin: compared by their bytes, as SQLite does.
Plain = String(288).with_variant(String(288, collation="C"), "postgresql")
# SQLite gives an integer primary key a rowid of its own only when it is spelled INTEGER.
Sequence64 = BigInteger().with_variant(Integer(), "sqlite")

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),  # SHA-256 of the token, which is kept nowhere
    Column("role", String(16), nullable=False),  # agent | engine | soc | admin
    Column("actor", String(256)),  # the one actor of an agent's token
    Column("tlp", String(16), nullable=False),  # clearance
    Column("created_at", String(32), nullable=False),
    Column("expires_at", String(32)),
    Column("last_used_at", String(32)),
    Column("revoked_at", String(32)),
    Column("rotated_at", String(32)),  # when the hash became another one; null: never
    Column("scopes", String(256)),  # names between blanks; null: all that the role opens
    Column(
        "certificate", String(43)
    ),  # base64url of the SHA-256 of the one client certificate; null: any or none
)

actors = Table(
    "actors",
    metadata,
    Column("id", String(256), primary_key=True),
    Column("kind", String(16), nullable=False),  # agent | user | workload
    Column(
        "composition", String(64), nullable=False
    ),  # SHA-256 of model, prompt hash and tools; "" when not given
    Column(
        "maker", String(32), nullable=False, server_default=""
    ),  # composition.maker_of: model and prompt; "" unless both are given
    Column("standing", Float, nullable=False, server_default="0"),  # of its own record, when it last moved
    Column("trust", Text, nullable=False),  # JSON of scoring.trust.Trust
    Column("baseline", Text, nullable=False, server_default=""),  # JSON of scoring.baseline.Baseline, or ""
    Column("owner", String(256), nullable=False, server_default=""),  # who answers for it, as imported, or ""
    Column("created_at", String(32), nullable=False),
    Column("updated_at", String(32), nullable=False),
    Index(None, "composition", "standing"),
    Index(None, "maker", "standing"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("actor", String(256), nullable=False),
    Column("declaration", Text, nullable=False),  # JSON; raw text of the declaration stays on this node
    Column("family", String(64), nullable=False),
    Column("family_confidence", Float, nullable=False),
    Column("envelope", Text, nullable=False),
    Column("parent", Text),
    Column("state", String(16), nullable=False),  # open | closed
    Column("outcome", String(16)),
    Column("verdict", String(16), nullable=False),  # the worst so far
    Column("risk", Float, nullable=False),
    Column("actions", Integer, nullable=False),
    Column("opened_at", String(32), nullable=False),
    Column("updated_at", String(32), nullable=False),
    Column("closed_at", String(32)),
    Column("principal", String(32), nullable=False, server_default=""),  # keyed hash: privacy.principals
    Column("cleared", Integer, nullable=False, server_default="0"),  # 1: a person said that it was right
    Index(None, "actor"),
    Index(None, "updated_at"),
)

events = Table(
    "events",
    metadata,
    Column("seq", Sequence64, primary_key=True, autoincrement=True),
    Column("session_id", String(128), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("body", Text, nullable=False),  # JSON of scoring.values.Event; removed by retention
    Column("at", String(32), nullable=False),
    Index(None, "session_id", "seq"),
    Index(None, "at"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("session_id", String(128), nullable=False),
    Column("action_id", String(128), nullable=False),
    Column("request_hash", String(64), nullable=False),  # another body under the same action_id is a conflict
    Column("actor", String(256), nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("response", String(16), nullable=False),
    Column("effect", Float, nullable=False),
    Column("body", Text, nullable=False),  # the DECISION as it was answered
    Column("at", String(32), nullable=False),
    UniqueConstraint("session_id", "action_id"),
    Index(None, "at"),
)

matches = Table(
    "matches",
    metadata,
    Column("seq", Sequence64, primary_key=True, autoincrement=True),
    Column("pattern", String(256), nullable=False),  # pattern id or public subject
    Column("session_id", String(128), nullable=False),
    Column("actor", String(256), nullable=False),
    Column("action_id", String(128), nullable=False),
    Column("day", Integer, nullable=False),
    Column("at", String(32), nullable=False),
    Column(
        "judged", String(16), nullable=False
    ),  # open | benign | flagged: of the session, once it is judged
    Column("principal", String(32), nullable=False, server_default=""),  # keyed hash: privacy.principals
    UniqueConstraint("pattern", "session_id"),
    Index(None, "pattern", "day"),
    Index(None, "actor", "day"),
)

session_days = Table(
    "session_days",
    metadata,
    Column("day", Integer, primary_key=True),
    Column("judged", Integer, nullable=False),  # sessions of that day that were closed
    Column("flagged", Integer, nullable=False),  # of these, with an out_of_scope verdict
    Column("unkept", Integer, nullable=False, server_default="0"),  # of all, whose path is not kept whole
)

segments = Table(
    "segments",
    metadata,
    Column("author", String(32), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("head", String(64), nullable=False),  # SHA-256 of the header as it arrived
    Column(
        "wire", LargeBinary, nullable=False
    ),  # the bytes as they arrived: served and forwarded, never re-encoded
    Column("records", Integer, nullable=False),
    Column("received_at", String(32), nullable=False),
    Column("delivered_by", String(32)),  # member id of the peer; null for our own
    Column(
        "low", Integer, nullable=False, server_default="1"
    ),  # of its header: below it all may be forgotten
)

equivocations = Table(
    "equivocations",
    metadata,
    Column("author", String(32), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("proof", LargeBinary, nullable=False),  # two signed headers of one height
    Column("found_at", String(32), nullable=False),
)

records = Table(
    "records",
    metadata,
    Column("seq", Sequence64, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("author", String(32), nullable=False),
    Column("segment", Integer, nullable=False),
    Column("kind", String(16), nullable=False),  # report | sighting | dispute | withdrawal
    Column("subject", String(256), nullable=False),  # pattern id or public subject that this is about
    Column("of", String(64)),  # the record that a sighting, dispute or withdrawal names
    Column("tlp", String(16), nullable=False),
    Column("day", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),  # canonical bytes as signed
    Column("received_at", String(32), nullable=False),
    Index(None, "subject"),
    Index(None, "of"),
    Index(None, "author", "segment"),
    Index(
        "ix_records_disputes",
        "seq",
        sqlite_where=text("kind = 'dispute'"),
        postgresql_where=text("kind = 'dispute'"),
    ),
)

outgoing = Table(
    "outgoing",
    metadata,
    Column("id", String(64), primary_key=True),  # record id
    Column("kind", String(16), nullable=False),
    Column("subject", String(256), nullable=False),
    Column("body", LargeBinary, nullable=False),  # the exact bytes that would leave, or left
    Column("explain", Text, nullable=False),  # JSON: field, value, source class, why it is safe
    Column("state", String(16), nullable=False),  # held | ready | left | refused
    Column("reason", Text, nullable=False),
    Column("not_before", String(32), nullable=False),  # emission slot
    Column("at", String(32), nullable=False),
    Column("decided_by", String(64)),
    Column("left_at", String(32)),
    Column("segment", Integer),
    Column("category", String(16), nullable=False, server_default=""),  # privacy.standing.CATEGORIES, or ""
    Column("tlp", String(16), nullable=False, server_default="amber"),
    Index(None, "state", "not_before"),
    Index(None, "subject"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Sequence64, primary_key=True, autoincrement=True),
    Column("destination", String(32), nullable=False),  # member id
    Column("author", String(32), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("not_before", String(32), nullable=False),
    UniqueConstraint("destination", "author", "seq"),
)

indicators = Table(
    "indicators",
    metadata,
    # In the order in which they came first, which no change moves: pages in this order miss nothing.
    Column("n", Sequence64, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),  # pattern id, or SHA-256 of a public subject
    Column("seq", Sequence64, nullable=False),  # of the newest stream row about it
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("score", Integer, nullable=False),
    Column("confidence", Integer, nullable=False),
    Column("tier", String(16), nullable=False),
    Column("effect", Float, nullable=False),
    Column("reporters", Integer, nullable=False),
    Column("tlp", String(16), nullable=False),
    Column("last_seen", String(10), nullable=False),
    Column("added_at", String(32), nullable=False),  # strictly increasing milliseconds: TAXII's date_added
    Column("subject", Plain, nullable=False),  # package URL, or the pattern's id again
    Column("words", Text, nullable=False),  # of the label, folded in case, a blank before each
    Column("terms", Text, nullable=False),  # JSON: the ids of its `filter_terms`, ascending
    Column("body", Text, nullable=False),  # JSON: the indicator row of the contract and its `why`
    Column("uuid", String(36), nullable=False, server_default=""),  # of its STIX objects: formats.stix
    Index(None, "added_at"),
    Index(
        "ix_indicators_subject",
        "subject",
        sqlite_where=text("kind = 'subject'"),
        postgresql_where=text("kind = 'subject'"),
    ),
    Index(None, "uuid"),
    Index(None, "tlp", "added_at"),  # a page of one label in the order of changes
)

stix_rendered = Table(
    "stix_rendered",
    metadata,
    Column("n", Sequence64, primary_key=True, autoincrement=False),  # of the indicator
    Column("added_at", String(32), nullable=False),  # of the change of the indicator that is rendered
    Column("rendering", Integer, nullable=False),  # formats.stix.RENDERING that made it
    Column("objects", Integer, nullable=False),
    Column("names", Text, nullable=False),  # of the objects in their order: "STIX-ID BYTES" a line
    Column("needs", Text, nullable=False),  # slugs of the attack patterns that they refer to, by blanks
    Column("body", LargeBinary, nullable=False),  # their JSON, with commas between them
)

taxii_statuses = Table(
    "taxii_statuses",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("token", String(32), nullable=False),  # whose request it was
    Column("at", String(32), nullable=False),
    Column("body", Text, nullable=False),  # JSON: the status resource of TAXII
    Index(None, "at"),
)

contributions = Table(
    "contributions",
    metadata,
    Column("seq", Sequence64, primary_key=True, autoincrement=True),
    Column(
        "id", String(128), nullable=False, unique=True
    ),  # STIX id of an object that an analyst's tool sent
    Column("version", String(32), nullable=False),
    Column("type", String(64), nullable=False),
    Column("tlp", String(16), nullable=False),
    Column("added_at", String(32), nullable=False),  # strictly increasing milliseconds
    Column("by", String(64), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index(None, "added_at"),
)

filter_terms = Table(
    "filter_terms",
    metadata,
    Column("id", Sequence64, primary_key=True, autoincrement=True),
    # KEY:VALUE of the filter language; `day` of since and until. Numbers with leading zeros: text compares as they do.
    Column("term", Plain, nullable=False, unique=True),
    Column("rows", Integer, nullable=False),  # indicators that have it now
)

indicator_terms = Table(
    "indicator_terms",
    metadata,
    Column("term", Sequence64, primary_key=True, autoincrement=False),  # filter_terms.id
    Column("n", Sequence64, primary_key=True, autoincrement=False),  # indicators.n
    sqlite_with_rowid=False,
)

saved_filters = Table(
    "saved_filters",
    metadata,
    Column("id", String(36), primary_key=True),  # UUID; of its TAXII collection too
    Column("name", String(64), nullable=False, unique=True),
    Column("text", Text, nullable=False),  # canonical
    Column("created_at", String(32), nullable=False),
    Column("by", String(64), nullable=False),  # "token:ID"
)

first_reports = Table(
    "first_reports",
    metadata,
    Column("group", String(64), primary_key=True),
    Column("pattern", String(256), primary_key=True),  # pattern id or public subject
    Column("day", Integer, nullable=False),  # of receipt, of the first live report of this group and pattern
    Column(
        "counts", Integer, nullable=False
    ),  # 1 when within the group's weekly quota of precautionary patterns
    Index(None, "pattern"),
)

stream = Table(
    "stream",
    metadata,
    Column("seq", Sequence64, primary_key=True, autoincrement=True),
    Column("at", String(32), nullable=False),
    Column("event", String(16), nullable=False),
    Column("tlp", String(16), nullable=False),
    Column("body", Text, nullable=False),  # the JSON of `data:` without seq, which is this row's
    sqlite_autoincrement=True,  # a sequence number is never reused, not even after retention
)

peers = Table(
    "peers",
    metadata,
    Column("member", String(32), primary_key=True),
    Column("last_success_at", String(32)),
    Column("refused", Text, nullable=False),  # JSON: refusal name → count
    Column("quarantined_at", String(32)),
    Column("quarantine_reason", Text),
)

overrides = Table(
    "overrides",
    metadata,
    Column("subject", String(256), primary_key=True),
    Column("kind", String(16), primary_key=True),  # allow | mute | release | off
    Column("reason", String(64), nullable=False),
    Column("by", String(64), nullable=False),
    Column("at", String(32), nullable=False),
    Column("expires_at", String(32)),
)

acquaintances = Table(
    "acquaintances",
    metadata,
    Column("group", String(64), primary_key=True),
    Column("since", Integer, nullable=False),  # UTC day
)

actor_states = Table(
    "actor_states",
    metadata,
    Column("actor", String(256), primary_key=True),
    Column("state", String(16), nullable=False),  # suspended | relaunch | killed; no row: active
    Column("reason", Text, nullable=False),
    Column("by", String(64), nullable=False),  # "node", or "token:ID" of a person
    Column("session_id", String(128)),
    Column("at", String(32), nullable=False),
)

responses = Table(
    "responses",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("actor", String(256), nullable=False),
    Column("session_id", String(128)),
    Column("response", String(16), nullable=False),  # scoring.values.Response, or shred
    Column("reason", Text, nullable=False),
    Column("by", String(64), nullable=False),
    Column("state", String(16), nullable=False),  # asked | done | failed: what the orchestrator reported
    Column("at", String(32), nullable=False),
    Column("reported_at", String(32)),
    Column("report", Text),  # JSON: what the orchestrator said
    Index(None, "actor", "at"),
)

held_actions = Table(
    "held_actions",
    metadata,
    Column("id", String(32), primary_key=True),  # the decision that held it
    Column("session_id", String(128), nullable=False),
    Column("actor", String(256), nullable=False),
    Column("action_id", String(128), nullable=False),
    Column("content", String(64), nullable=False),  # SHA-256 of tool, server and arguments
    Column("body", Text, nullable=False),  # JSON: the DECISION, the recommendation, tool and server
    Column("state", String(16), nullable=False),  # waiting | approved | refused | used | expired | ended
    Column("by", String(64)),
    Column("at", String(32), nullable=False),
    Column("decided_at", String(32)),
    Column("expires_at", String(32), nullable=False),
    Index(None, "state", "at"),
    Index(None, "session_id", "content"),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("url", String(2_048), nullable=False),
    Column("secret", String(128), nullable=False),
    Column("events", Text, nullable=False),  # JSON list of the stream's events
    Column("tlp", String(16), nullable=False),
    Column("cursor", Sequence64, nullable=False),  # seq of the newest row that was delivered or passed over
    Column("state", String(16), nullable=False),  # active | disabled
    Column("attempts", Integer, nullable=False),
    Column("not_before", String(32), nullable=False),
    Column("last_status", Text, nullable=False),
    Column("by", String(64), nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("filter", Text),  # canonical text, of events about indicators
    Column("saved", String(36)),  # a saved filter, in the place of `filter`
    Column("actor", String(256)),  # of events about actors
    Column("previous_secret", String(128)),  # that still signs, beside the new one
    Column("previous_until", String(32)),
    Column("delivered", Integer, nullable=False, server_default="0"),
    Column("delivered_at", String(32)),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("hook", String(32), primary_key=True),
    Column("seq", Sequence64, primary_key=True, autoincrement=False),
    Column("event", String(16), primary_key=True),  # a reset has the seq of another event
    Column("at", String(32), nullable=False),
    Column("tlp", String(16), nullable=False),
    Column("body", Text, nullable=False),  # as in the stream, which forgets sooner
    Column("attempts", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("given_up_at", String(32), nullable=False),
    Column("due", Integer, nullable=False),  # 1: somebody wants it posted once more
)

signal_streams = Table(
    "signal_streams",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("by", String(128), nullable=False),  # who made it
    Column(
        "tlp", String(16), nullable=False
    ),  # clearance of who made it, where that is no token of this node
    Column("method", String(32), nullable=False),  # urn:ietf:rfc:8935 (push) | urn:ietf:rfc:8936 (poll)
    Column("endpoint_url", String(2_048), nullable=False),  # of push; else ""
    Column("authorization_header", Text, nullable=False),  # of push: a secret of the receiver's, or ""
    Column("events_requested", Text),  # JSON list; null: all
    Column("description", Text),
    Column("format", String(16), nullable=False),  # of subjects: iss_sub | uri
    Column("status", String(16), nullable=False),  # enabled | paused | disabled
    Column("reason", Text, nullable=False),
    Column("cursor", Sequence64, nullable=False),  # all rows of the stream up to here are done with
    Column("notices", Integer, nullable=False),  # made so far
    Column("attempts", Integer, nullable=False),
    Column("not_before", String(32), nullable=False),
    Column("last_status", Text, nullable=False),
    Column("verified_at", String(32), nullable=False),  # when a verification was asked for last, or ""
    Column("heard_at", String(32), nullable=False),  # when its receiver was heard of last
    Column("created_at", String(32), nullable=False),
    Index(None, "by"),
)

signal_subjects = Table(
    "signal_subjects",
    metadata,
    Column("stream_id", String(32), primary_key=True),
    Column("digest", String(64), primary_key=True),  # SHA-256 of the subject
    Column("subject", Text, nullable=False),  # JSON
    Column("wide", Integer, nullable=False),  # 1: it can match others than itself
    Column("wanted", Integer, nullable=False),  # 1: added, 0: removed
)

signal_notices = Table(
    "signal_notices",
    metadata,
    Column("stream_id", String(32), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column(
        "kind", String(128), nullable=False
    ),  # what a stream says of itself: verification | stream-updated
    Column("claims", Text, nullable=False),  # JSON
    Column("at", String(32), nullable=False),
)

signal_acks = Table(
    "signal_acks",
    metadata,
    Column("stream_id", String(32), primary_key=True),
    Column("seq", Sequence64, primary_key=True, autoincrement=False),  # done with, above the cursor
)

grants = Table(
    "grants",
    metadata,
    Column("id", String(32), primary_key=True),  # the family of its passes
    Column("actor", String(256), nullable=False),
    Column("session_id", String(128), nullable=False),
    Column("key", String(64), nullable=False),  # RFC 7638 thumbprint of the agent's key
    Column("intent", String(64), nullable=False),  # family of the declared intent
    Column("scope", Text, nullable=False),  # JSON
    Column("units", Float, nullable=False),  # granted
    Column("left", Float, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("spread", Text, nullable=False),  # JSON: the resource groups touched so far
    Column("interval_s", Integer, nullable=False),
    Column("revalidate_at", String(32), nullable=False),
    Column("issued_at", String(32), nullable=False),
    Column("expires_at", String(32), nullable=False),
    Column("state", String(16), nullable=False),  # live | spent | revoked | expired
    Column("reason", Text, nullable=False),
    Index(None, "actor"),
    Index(None, "session_id"),
    Index(None, "expires_at"),
)

grant_spends = Table(
    "grant_spends",
    metadata,
    Column("grant", String(32), primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column(
        "request", String(64), nullable=False
    ),  # SHA-256 of the request: the same again gets the same answer
    Column("answer", Text, nullable=False),
    Column("at", String(32), nullable=False),
    Index(None, "at"),
)

observations = Table(
    "observations",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("source", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("actor", String(256), nullable=False),
    Column("session_id", String(128)),
    Column("body", Text, nullable=False),  # JSON of scoring.observations.Observation
    Column("by", String(64), nullable=False),
    Column("at", String(32), nullable=False),
    Column("expires_at", String(32), nullable=False),
    Index(None, "actor", "expires_at"),
)

proposals = Table(
    "proposals",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("family", String(64), nullable=False),  # the declared intent whose envelope would change
    Column("actor", String(256)),  # for this actor alone; null: for every actor
    Column("change", Text, nullable=False),  # JSON: what the envelope would gain or lose
    Column("wider", Integer, nullable=False),  # 1 when it gains anything
    Column(
        "evidence", Text, nullable=False
    ),  # JSON: the actions that asked, the past sessions it would have allowed
    Column("state", String(16), nullable=False),  # open | accepted | refused | withdrawn
    Column("by", String(64), nullable=False),
    Column("at", String(32), nullable=False),
    Column("decided_by", String(64)),
    Column("decided_at", String(32)),
    Column("expires_at", String(32)),
    Index(None, "state", "at"),
)

learned = Table(
    "learned",
    metadata,
    Column(
        "name", String(64), primary_key=True
    ),  # what this node learned of its own traffic, such as "isolation"
    Column("body", Text, nullable=False),  # JSON
    Column("at", String(32), nullable=False),
)

roster_files = Table(
    "roster_files",
    metadata,
    Column("name", String(80), primary_key=True),  # as in the protocol; every root, the newest of the others
    Column("body", LargeBinary, nullable=False),
    Column("installed_at", String(32), nullable=False),
)

invitations = Table(
    "invitations",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("code_hash", String(64), nullable=False),  # SHA-256 of the code, which was shown once
    Column("created_at", String(32), nullable=False),
    Column("expires_at", String(32), nullable=False),
    Column("wrong", Integer, nullable=False),  # wrong codes that came under this id
    Column("member", String(32)),  # who applied with it; null: nobody yet
    Column("name", String(64)),
    Column("card", LargeBinary),
    Column("applied_at", String(32)),
    Column("refused_at", String(32)),
)

standing_approvals = Table(
    "standing_approvals",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("scope", String(16), nullable=False),  # pattern | intent | layer | category
    Column("value", String(64), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("by", String(64), nullable=False),
    Column("at", String(32), nullable=False),
    Column("expires_at", String(32), nullable=False),
    Column("revoked_at", String(32)),  # rows stay: who let what leave is kept for ever
    Column("revoked_by", String(64)),
)

paths = Table(
    "paths",
    metadata,
    Column("session_id", String(128), primary_key=True),
    Column("day", Integer, nullable=False),
    Column(
        "body", Text, nullable=False
    ),  # JSON of flows.paths.KeptPath: abstract steps, nothing of what stood in them
    Column("flagged", Integer, nullable=False, server_default="0"),  # 1: judged out of scope
    Index(None, "day"),
)

novel_cases = Table(
    "novel_cases",
    metadata,
    Column("seq", Sequence64, primary_key=True, autoincrement=True),
    Column("session_id", String(128), nullable=False, unique=True),
    Column("actor", String(256), nullable=False),
    Column("principal", String(32), nullable=False),
    Column("step", Integer, nullable=False),  # index of the step that was judged
    Column("path", Text, nullable=False),  # JSON, as `paths.body`
    Column("state", String(16), nullable=False),  # new | named | refused
    Column("pattern", String(64)),
    Column("reason", Text, nullable=False),
    Column("at", String(32), nullable=False),
    Index(None, "state", "seq"),
)

novel_patterns = Table(
    "novel_patterns",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("body", Text, nullable=False),  # JSON of the canonical pattern
    Column("at", String(32), nullable=False),
)

hunts = Table(
    "hunts",
    metadata,
    Column(
        "pattern", String(256), primary_key=True
    ),  # looked for in all that was kept; live matching goes on
    Column("sessions", Integer, nullable=False),  # in which it was found then
    Column("at", String(32), nullable=False),
)

incidents = Table(
    "incidents",
    metadata,
    Column("seq", Sequence64, primary_key=True, autoincrement=True),
    Column("id", String(16), nullable=False, unique=True),
    Column("pattern", String(256), nullable=False),  # or public subject
    Column("session_id", String(128), nullable=False),  # "": of all further sessions with the pattern
    Column("actor", String(256), nullable=False),
    Column("found", String(16), nullable=False),  # live | retro
    Column("tier", String(16), nullable=False),  # in force here when it was opened
    Column("state", String(16), nullable=False),  # open | assigned | closed
    Column("warning", String(16), nullable=False),  # live | withdrawn | ended
    Column("assignee", String(64)),
    Column("closed_as", String(16)),
    Column("sessions", Integer, nullable=False),
    Column("opened_at", String(32), nullable=False),
    Column("updated_at", String(32), nullable=False),
    Index(None, "pattern", "state"),
    Index(None, "state", "seq"),
)

incident_notes = Table(
    "incident_notes",
    metadata,
    Column("seq", Sequence64, primary_key=True, autoincrement=True),
    Column("incident", String(16), nullable=False),
    Column(
        "what", String(16), nullable=False
    ),  # opened | grown | assigned | note | closed | reopened | warning
    Column("text", Text, nullable=False),
    Column("by", String(64), nullable=False),  # "node", or "token:ID" of a person
    Column("at", String(32), nullable=False),
    Index(None, "incident", "seq"),
)

misp_placements = Table(
    "misp_placements",
    metadata,
    Column("indicator", String(64), primary_key=True),
    Column("event", String(64), nullable=False),  # MONTH/LAYER/NUMBER, given once and for all
    Column("widest", String(16), nullable=False),  # the most open label of TLP that it has had
    Column("label", String(16), nullable=False),  # its label when it was last looked at
    Column("moved_at", String(32), nullable=False),  # when that last became another
    Index(None, "event"),
    Index(None, "moved_at"),
)

public_bundles = Table(
    "public_bundles",
    metadata,
    Column(
        "seq", Sequence64, primary_key=True, autoincrement=False
    ),  # given by the publisher: never goes back
    Column("content", String(64), nullable=False),  # SHA-256 of the objects in it
    Column("expires_at", String(32), nullable=False),
    Column("envelope", LargeBinary, nullable=False),  # the signed bytes, served as they are
    Column("key_document", LargeBinary, nullable=False),  # the public key, and the record key's word for it
)
