"""Since when each affiliation group is known here.

Revision: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; it fills itself from the roster and from the segments that are kept."""
    op.create_table(
        "acquaintances",
        sa.Column("group", sa.String(length=64), nullable=False),
        sa.Column("since", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("group", name=op.f("pk_acquaintances")),
    )
