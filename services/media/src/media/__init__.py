"""Uploads: their records, their content in object storage, and scanning."""
