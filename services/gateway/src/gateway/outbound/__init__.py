"""Bus → clients."""
