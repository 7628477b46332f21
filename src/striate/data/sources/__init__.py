"""Where datasets come from: one layout a file."""
