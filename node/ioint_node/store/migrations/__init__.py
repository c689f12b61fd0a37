"""Revisions of the schema, each a module in `versions`."""
