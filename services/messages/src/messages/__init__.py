"""The messages service: users, channels, members and the log of every channel."""
