from __future__ import annotations

from tests.node.assess.conftest import make_node, node

__all__ = ["make_node", "node"]
