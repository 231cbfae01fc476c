"""Presence: which users are connected, kept by gateways' leases and sent to the gateways that watch them."""
