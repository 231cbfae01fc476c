"""Blocks and revocations: this gateway's lease, and what it does when a user loses access."""
