"""Clients → bus."""
