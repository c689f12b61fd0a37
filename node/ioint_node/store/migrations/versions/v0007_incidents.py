"""Looking back: the paths of all sessions are kept, what was looked for in them, and what was found.

Revision: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; the paths that are there are of sessions that were judged benign."""
    sequence = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("paths", sa.Column("flagged", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "hunts",
        sa.Column("pattern", sa.String(length=256), nullable=False),
        sa.Column("sessions", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("pattern", name=op.f("pk_hunts")),
    )
    op.create_table(
        "incidents",
        sa.Column("seq", sequence, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("pattern", sa.String(length=256), nullable=False),
        sa.Column("session_id", sa.String(length=128), nullable=False),
        sa.Column("actor", sa.String(length=256), nullable=False),
        sa.Column("found", sa.String(length=16), nullable=False),
        sa.Column("tier", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("warning", sa.String(length=16), nullable=False),
        sa.Column("assignee", sa.String(length=64), nullable=True),
        sa.Column("closed_as", sa.String(length=16), nullable=True),
        sa.Column("sessions", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.String(length=32), nullable=False),
        sa.Column("updated_at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_incidents")),
        sa.UniqueConstraint("id", name=op.f("uq_incidents_id")),
    )
    op.create_index(op.f("ix_incidents_pattern_state"), "incidents", ["pattern", "state"], unique=False)
    op.create_index(op.f("ix_incidents_state_seq"), "incidents", ["state", "seq"], unique=False)
    op.create_table(
        "incident_notes",
        sa.Column("seq", sequence, autoincrement=True, nullable=False),
        sa.Column("incident", sa.String(length=16), nullable=False),
        sa.Column("what", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_incident_notes")),
    )
    op.create_index(
        op.f("ix_incident_notes_incident_seq"), "incident_notes", ["incident", "seq"], unique=False
    )
