"""Webhooks: what each wants of the stream, a second key while one is changed, how it goes, and what was given up.

Revision 0015, after 0014.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ioint_node.store.schema import Sequence64

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the table; a hook that is there goes on as it was."""
    for column in (
        sa.Column("filter", sa.Text()),
        sa.Column("saved", sa.String(36)),
        sa.Column("actor", sa.String(256)),
        sa.Column("previous_secret", sa.String(128)),
        sa.Column("previous_until", sa.String(32)),
        sa.Column("delivered", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("delivered_at", sa.String(32)),
    ):
        op.add_column("webhooks", column)
    op.create_table(
        "dead_letters",
        sa.Column("hook", sa.String(32), primary_key=True),
        sa.Column("seq", Sequence64, primary_key=True, autoincrement=False),
        sa.Column("event", sa.String(16), primary_key=True),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("tlp", sa.String(16), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("given_up_at", sa.String(32), nullable=False),
        sa.Column("due", sa.Integer(), nullable=False),
    )
