"""The feed: streams of the log for other products (hubbub.messages.v1.FeedService)."""
