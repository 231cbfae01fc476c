"""Channels: delivery of their logs to local members, catching up, and closing gaps."""
