"""The check of a dataset before training: what is unreadable, duplicated, leaking or mislabelled, with the file."""
