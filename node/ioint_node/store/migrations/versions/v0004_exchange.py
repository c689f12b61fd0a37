"""The exchange in depth: each segment's `low`, by which dead ones are forgotten.

Revision: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Widen segments; 1 says of an old row that nothing may be forgotten, until its author says more."""
    op.add_column("segments", sa.Column("low", sa.Integer(), nullable=False, server_default="1"))
