"""Who is here: leases of gateways, and what watchers are told."""
