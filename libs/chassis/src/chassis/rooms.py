"""The size up to which a channel deals in names; beyond it, in counts (docs/protocol.md, Large channels)."""

NAMED_MEMBERS = 100
"""Up to so many members, receipts and typing name people, and each joining and leaving is an entry of the log."""
