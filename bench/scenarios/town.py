"""The people of most scenarios: 1,000 users with ten channels each."""

from bench.people import People

TOWN = People("town", 1000, (1000, 100, 2, *[10] * 7))
EVERYBODY, HUNDREDS, PAIRS = 0, 1, 2
"""Layers of one room of all, of rooms of 100, of rooms of two."""
TENS = range(3, 10)
"""Layers of rooms of ten."""
