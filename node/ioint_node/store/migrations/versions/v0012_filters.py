"""Filters are answered from an index, and can be saved.

Revision 0012, after 0011.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import sqlalchemy as sa
from alembic import op

from ioint_node.filtering import subject_of
from ioint_node.store.indicators import words_text
from ioint_node.store.postings import encoded, terms_of

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

BATCH: Final = 1_000  # rows copied at a time
_NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_PLAIN: Final = sa.String(length=288).with_variant(sa.String(length=288, collation="C"), "postgresql")
_COPIED: Final = (
    "id", "seq", "kind", "state", "score", "confidence", "tier", "effect", "tlp", "last_seen", "added_at", "body",
)  # fmt: skip


def upgrade() -> None:
    """Give every indicator a number of its own and list what it answers to."""
    op.rename_table("indicators", "indicators_0011")
    if op.get_bind().dialect.name == "postgresql":  # there its name is the schema's, not the table's
        op.drop_constraint("pk_indicators", "indicators_0011")
    _create()
    _fill()
    op.drop_table("indicators_0011")
    op.create_index(op.f("ix_indicators_added_at"), "indicators", ["added_at"])
    only = sa.text("kind = 'subject'")
    op.create_index(
        "ix_indicators_subject", "indicators", ["subject"], sqlite_where=only, postgresql_where=only
    )


def _create() -> None:
    op.create_table(
        "indicators",
        sa.Column("n", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("seq", _NUMBER, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("confidence", sa.Integer(), nullable=False),
        sa.Column("tier", sa.String(length=16), nullable=False),
        sa.Column("effect", sa.Float(), nullable=False),
        sa.Column("reporters", sa.Integer(), nullable=False),
        sa.Column("tlp", sa.String(length=16), nullable=False),
        sa.Column("last_seen", sa.String(length=10), nullable=False),
        sa.Column("added_at", sa.String(length=32), nullable=False),
        sa.Column("subject", _PLAIN, nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_indicators")),
        sa.UniqueConstraint("id", name=op.f("uq_indicators_id")),
    )
    op.create_table(
        "filter_terms",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("term", _PLAIN, nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_filter_terms")),
        sa.UniqueConstraint("term", name=op.f("uq_filter_terms_term")),
    )
    op.create_table(
        "indicator_terms",
        sa.Column("term", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("n", _NUMBER, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("term", "n", name=op.f("pk_indicator_terms")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "saved_filters",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_filters")),
        sa.UniqueConstraint("name", name=op.f("uq_saved_filters_name")),
    )


def _fill() -> None:
    bind, metadata = op.get_bind(), sa.MetaData()
    new, terms, listed = (
        sa.Table(name, metadata, autoload_with=bind)
        for name in ("indicators", "filter_terms", "indicator_terms")
    )
    numbers: dict[str, int] = {}
    counts: Counter[int] = Counter()
    for rows in _old():
        made, pairs = [], []
        for row in rows:
            known = json.loads(row["body"])["row"]
            held = [numbers.setdefault(term, len(numbers) + 1) for term in sorted(terms_of(known))]
            counts.update(held)
            pairs += [{"term": term, "n": row["n"]} for term in held]
            made.append(row | _derived(known) | {"terms": encoded(held)})
        bind.execute(new.insert(), made)
        bind.execute(listed.insert(), pairs)
    if numbers:
        bind.execute(
            terms.insert(),
            [{"id": number, "term": term, "rows": counts[number]} for term, number in numbers.items()],
        )
    if bind.dialect.name == "postgresql":
        for table, column in (("indicators", "n"), ("filter_terms", "id")):
            bind.execute(
                sa.text(
                    f"select setval(pg_get_serial_sequence('{table}', '{column}'), "  # noqa: S608 - of the line above
                    f"(select max({column}) from {table}) + 1, false) where exists (select 1 from {table})"
                )
            )


def _old() -> Iterator[list[dict[str, Any]]]:
    """The rows as they were, oldest change first, numbered."""
    bind = op.get_bind()
    old = sa.table("indicators_0011", *map(sa.column, _COPIED))
    after, number = "", 0
    while True:
        found = bind.execute(
            sa.select(old).where(old.c.added_at > after).order_by(old.c.added_at).limit(BATCH)
        ).mappings()
        rows = [{**row, "n": number + place} for place, row in enumerate(found, 1)]
        if not rows:
            return
        yield rows
        after, number = rows[-1]["added_at"], number + len(rows)


def _derived(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"subject": subject_of(row), "words": words_text(str(row["label"])), "reporters": row["reporters"]}
