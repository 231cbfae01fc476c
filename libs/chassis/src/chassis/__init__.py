"""Shared by every process: lifecycle, configuration, logging, metrics, errors, gRPC, PostgreSQL, service identities."""
