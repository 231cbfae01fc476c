"""Sockets, the HTTP API, authentication, limits and fan-out. Owns no data."""
