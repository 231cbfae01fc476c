"""The users of most scenarios: 1,000 users with ten channels each."""

from bench.people import People

TOWN = People("town", 1000, (1000, 100, 2, *[10] * 7))
TWIN = People("twin", 1000, TOWN.layers)
"""As many users with rooms of their own, for clients of the other door: users receive what is said in their rooms at both."""
EVERYBODY, HUNDREDS, PAIRS = 0, 1, 2
"""The layers with one room of all users, rooms of 100, and rooms of two."""
TENS = range(3, 10)
"""The layers with rooms of ten."""
