"""Coverage-guided fuzzing of what reads bytes of others, by libFuzzer (atheris): `python -m tests.fuzz TARGET`, `make fuzz`.

A target is a module with `SEEDS`, inputs to begin with, and `check`, which takes any bytes and raises for what must not be.
"""

TARGETS = ("frames", "sockets", "handshakes", "tokens", "bus_entries")
