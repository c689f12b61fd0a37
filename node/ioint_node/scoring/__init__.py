"""Scoring: how far an action has left the declared intent, and why. Pure: values in, values out."""

from __future__ import annotations
