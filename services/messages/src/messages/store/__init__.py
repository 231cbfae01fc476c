"""Typed functions for the statements of `queries`. The caller owns the connection and the transaction."""
