"""Tokens: the scopes that one is cut down to, and the client certificate that one is bound to.

Revision 0014, after 0013.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both; a token from before has all that its role opens, and is bound to no certificate."""
    op.add_column("tokens", sa.Column("scopes", sa.String(256)))
    op.add_column("tokens", sa.Column("certificate", sa.String(43)))
