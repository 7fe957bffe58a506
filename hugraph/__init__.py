"""Multimedia recommendation with interpretable user intents."""

__version__ = "0.1.0"
