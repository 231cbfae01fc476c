"""Typed functions over the statements of `queries`, by the same nouns. The caller owns connection and transaction."""
