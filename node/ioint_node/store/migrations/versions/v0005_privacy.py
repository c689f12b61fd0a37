"""The privacy gate in depth: principals, standing approvals, novel patterns; labels inherited by what names a report.

Revision: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, widen those that are there, and label anew what inherits a label."""
    op.add_column("actors", sa.Column("owner", sa.String(length=256), nullable=False, server_default=""))
    op.add_column("sessions", sa.Column("principal", sa.String(length=32), nullable=False, server_default=""))
    op.add_column("sessions", sa.Column("cleared", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("matches", sa.Column("principal", sa.String(length=32), nullable=False, server_default=""))
    op.add_column("outgoing", sa.Column("category", sa.String(length=16), nullable=False, server_default=""))
    op.add_column("outgoing", sa.Column("tlp", sa.String(length=16), nullable=False, server_default="amber"))
    op.create_index(op.f("ix_outgoing_subject"), "outgoing", ["subject"], unique=False)
    op.create_table(
        "standing_approvals",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("value", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.Column("expires_at", sa.String(length=32), nullable=False),
        sa.Column("revoked_at", sa.String(length=32), nullable=True),
        sa.Column("revoked_by", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_standing_approvals")),
    )
    op.create_table(
        "paths",
        sa.Column("session_id", sa.String(length=128), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_paths")),
    )
    op.create_index(op.f("ix_paths_day"), "paths", ["day"], unique=False)
    op.create_table(
        "novel_cases",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("session_id", sa.String(length=128), nullable=False),
        sa.Column("actor", sa.String(length=256), nullable=False),
        sa.Column("principal", sa.String(length=32), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("pattern", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_novel_cases")),
        sa.UniqueConstraint("session_id", name=op.f("uq_novel_cases_session_id")),
    )
    op.create_index(op.f("ix_novel_cases_state_seq"), "novel_cases", ["state", "seq"], unique=False)
    op.create_table(
        "novel_patterns",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_novel_patterns")),
    )
    _label_anew()


def _label_anew() -> None:
    """Give sightings, disputes and withdrawals the label of the report that they name; unknown is the most closed.

    A withdrawal may name any statement of its author, by that record's own id: only reports are found by it here, and
    the others stay as closed as what nobody knows.
    """
    records = sa.table("records", *map(sa.column, ("kind", "of", "tlp")))
    reports = records.alias()
    named = (
        sa.select(reports.c.tlp)
        .where(reports.c.of == records.c.of, reports.c.kind == "report")
        .limit(1)
        .scalar_subquery()
    )
    op.execute(records.update().where(records.c.kind != "report").values(tlp=sa.func.coalesce(named, "red")))
