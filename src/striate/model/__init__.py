"""Architectures as tables of rows, the builder that makes networks of them, and the walk that measures them."""
