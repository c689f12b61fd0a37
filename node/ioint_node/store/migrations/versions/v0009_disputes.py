"""An index of the disputes alone, which lists them without a look at every record.

Revision: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index."""
    op.create_index(
        "ix_records_disputes",
        "records",
        ["seq"],
        unique=False,
        sqlite_where=sa.text("kind = 'dispute'"),
        postgresql_where=sa.text("kind = 'dispute'"),
    )
