"""How every process starts, speaks, fails and stops."""
