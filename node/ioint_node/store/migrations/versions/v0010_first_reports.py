"""First reports are found by their pattern.

Revision: 0010
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index: the key begins with the group, so that one subject's rows were found by reading all."""
    op.create_index(op.f("ix_first_reports_pattern"), "first_reports", ["pattern"])
