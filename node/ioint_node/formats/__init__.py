"""Indicators and findings in the formats of others: values in, JSON values out, no input or output."""
