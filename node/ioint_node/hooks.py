"""Webhooks: rows of the stream, posted to whoever asked for them."""
