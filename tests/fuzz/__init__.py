"""Coverage-guided fuzzing of the parsers with libFuzzer (atheris): `python -m tests.fuzz TARGET`, `make fuzz`.

A target is a module with `SEEDS`, the first inputs, and `check`, which takes any bytes and raises if the parser is wrong.
"""

TARGETS = ("frames", "sockets", "handshakes", "tokens", "bus_entries")
