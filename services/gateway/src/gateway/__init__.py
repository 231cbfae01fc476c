"""Sockets, the HTTP API, authentication, limits and fan-out; owns no state."""
