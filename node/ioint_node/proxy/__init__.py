"""A proxy between an MCP client and an MCP server: calls of tools are asked of the node, all else passes as it is."""
