"""An index of the disputes alone, which lists them without a look at every record.

Revision: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0005"
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
