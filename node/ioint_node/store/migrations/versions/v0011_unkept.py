"""Of each day, the sessions whose abstract path is not kept whole: what is looked for later may be in the rest of it.

Revision: 0011
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Before this a path was cut at 64 steps and later at 256: one of so many may be longer. A step has one verb.
_COUNT: Final = """
    UPDATE session_days SET unkept = judged - flagged - (
        SELECT count(*) FROM (
            SELECT (length(body) - length(replace(body, '"verb":', ''))) / 7 AS steps
            FROM paths WHERE paths.day = session_days.day AND paths.flagged = 0
        ) AS kept WHERE steps < 256 AND steps <> 64
    )
"""


def upgrade() -> None:
    """Add the column, and count the days that are there."""
    op.add_column("session_days", sa.Column("unkept", sa.Integer(), nullable=False, server_default="0"))
    op.execute(_COUNT)
    op.execute("UPDATE session_days SET unkept = 0 WHERE unkept < 0")
