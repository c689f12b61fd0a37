from __future__ import annotations

from tests.node.assess.conftest import empty_database, make_node, node, store

__all__ = ["empty_database", "make_node", "node", "store"]
