"""The message bus, signals and gateway leases: one interface for each, with implementations for Redis and in memory."""
