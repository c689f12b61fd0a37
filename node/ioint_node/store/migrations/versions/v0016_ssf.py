"""Streams of security events: who has one, whom it is about, what it says of itself, what is acknowledged.

Revision 0016, after 0015.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the four tables."""
    op.create_table(
        "signal_streams",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("by", sa.String(128), nullable=False),
        sa.Column("tlp", sa.String(16), nullable=False),
        sa.Column("method", sa.String(32), nullable=False),
        sa.Column("endpoint_url", sa.String(2_048), nullable=False),
        sa.Column("authorization_header", sa.Text(), nullable=False),
        sa.Column("events_requested", sa.Text()),
        sa.Column("description", sa.Text()),
        sa.Column("format", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("cursor", _SEQUENCE, nullable=False),
        sa.Column("notices", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.String(32), nullable=False),
        sa.Column("last_status", sa.Text(), nullable=False),
        sa.Column("verified_at", sa.String(32), nullable=False),
        sa.Column("heard_at", sa.String(32), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signal_streams")),
    )
    op.create_index(op.f("ix_signal_streams_by"), "signal_streams", ["by"])
    op.create_table(
        "signal_subjects",
        sa.Column("stream_id", sa.String(32), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("wide", sa.Integer(), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("stream_id", "digest", name=op.f("pk_signal_subjects")),
    )
    op.create_table(
        "signal_notices",
        sa.Column("stream_id", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("kind", sa.String(128), nullable=False),
        sa.Column("claims", sa.Text(), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("stream_id", "number", name=op.f("pk_signal_notices")),
    )
    op.create_table(
        "signal_acks",
        sa.Column("stream_id", sa.String(32), nullable=False),
        sa.Column("seq", _SEQUENCE, nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("stream_id", "seq", name=op.f("pk_signal_acks")),
    )
