"""Users, channels, members and the log of every channel."""
