"""Connections and their bytes: from being registered to the close code."""
