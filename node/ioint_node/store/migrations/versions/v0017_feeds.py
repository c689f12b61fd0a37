"""In which event of the MISP feed each indicator stands, and the newest public bundle.

Revision 0017, after 0016.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the two tables; the node fills them."""
    op.create_table(
        "misp_placements",
        sa.Column("indicator", sa.String(64), nullable=False),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("widest", sa.String(16), nullable=False),
        sa.Column("label", sa.String(16), nullable=False),
        sa.Column("moved_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("indicator", name="pk_misp_placements"),
    )
    op.create_index("ix_misp_placements_event", "misp_placements", ["event"])
    op.create_index("ix_misp_placements_moved_at", "misp_placements", ["moved_at"])
    op.create_table(
        "public_bundles",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False, autoincrement=False
        ),
        sa.Column("content", sa.String(64), nullable=False),
        sa.Column("expires_at", sa.String(32), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("key_document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_public_bundles"),
    )
