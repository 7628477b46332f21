"""The engine: one readable loop and the pieces handed to it."""
