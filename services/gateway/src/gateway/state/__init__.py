"""Presence and typing: state that is not in the log."""
