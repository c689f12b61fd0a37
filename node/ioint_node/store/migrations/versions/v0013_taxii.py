"""The UUID of an indicator's STIX objects beside it, their ready bytes, and what analysts' tools contribute.

Revision 0013, after 0012.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from ioint_node.formats.stix import subject_uuid

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_ROWS: Final = 5_000  # at a time


def upgrade() -> None:
    """Add the column and the tables, and name the indicators that are there."""
    op.add_column("indicators", sa.Column("uuid", sa.String(36), nullable=False, server_default=""))
    _name_all()
    op.create_index("ix_indicators_uuid", "indicators", ["uuid"])
    op.create_index("ix_indicators_tlp_added_at", "indicators", ["tlp", "added_at"])
    op.create_table(
        "stix_rendered",
        sa.Column(
            "n", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("added_at", sa.String(32), nullable=False),
        sa.Column("rendering", sa.Integer(), nullable=False),
        sa.Column("objects", sa.Integer(), nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.Column("needs", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("n", name="pk_stix_rendered"),
    )
    op.create_table(
        "taxii_statuses",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_taxii_statuses"),
    )
    op.create_index("ix_taxii_statuses_at", "taxii_statuses", ["at"])
    op.create_table(
        "contributions",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("tlp", sa.String(16), nullable=False),
        sa.Column("added_at", sa.String(32), nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_contributions"),
        sa.UniqueConstraint("id", name="uq_contributions_id"),
    )
    op.create_index("ix_contributions_added_at", "contributions", ["added_at"])


def _name_all() -> None:
    table = sa.table("indicators", sa.column("id", sa.String), sa.column("uuid", sa.String))
    connection, after = op.get_bind(), ""
    name = sa.update(table).where(table.c.id == sa.bindparam("key")).values(uuid=sa.bindparam("name"))
    while True:
        page = sa.select(table.c.id).where(table.c.id > after).order_by(table.c.id).limit(_ROWS)
        ids = connection.execute(page).scalars().all()
        if not ids:
            return
        connection.execute(name, [{"key": one, "name": subject_uuid(one)} for one in ids])
        after = ids[-1]
