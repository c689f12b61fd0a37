"""Scoring: how far an action has left the declared intent, and why. Pure: values in, values out."""

from __future__ import annotations

from ioint_node.scoring.model import Model, Thresholds, load_model, parse_model
from ioint_node.scoring.predict import predict_file
from ioint_node.scoring.tracker import SessionTracker, alternative

__all__ = [
    "Model",
    "SessionTracker",
    "Thresholds",
    "alternative",
    "load_model",
    "parse_model",
    "predict_file",
]
