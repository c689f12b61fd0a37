"""Indicators in the formats of other tools: pure functions from a row to an object."""
