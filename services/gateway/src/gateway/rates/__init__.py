"""Rate limits: of one connection, and of a user or address over all gateways."""
