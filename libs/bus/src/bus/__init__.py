"""The bus and its signals, one interface and several implementations."""
