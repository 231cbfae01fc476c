"""What ranges of sorted text need."""

LAST_CHARACTER = chr(0x10FFFF)
"""Sorts after every character of a name: a text that begins with a prefix lies between the prefix and the prefix with this."""
