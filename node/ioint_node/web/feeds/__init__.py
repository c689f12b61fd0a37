"""Feeds: what is known and what happened, in the files that other tools fetch."""
