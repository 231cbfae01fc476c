"""All SQL of the service, by noun. Each statement says what it guarantees and which index it walks."""
