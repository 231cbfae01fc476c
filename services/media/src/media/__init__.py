"""Uploads: their records, their bytes in object storage, and their scan."""
