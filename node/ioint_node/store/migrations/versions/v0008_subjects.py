"""Matches and first reports may be about a public subject, whose name is longer than a pattern's id.

Revision: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Widen what holds the names of patterns and subjects."""
    for table in ("matches", "first_reports"):
        with op.batch_alter_table(table) as batch:
            batch.alter_column(
                "pattern",
                existing_type=sa.String(length=64),
                type_=sa.String(length=256),
                existing_nullable=False,
            )
