"""A run: the one place where data, model, task, training and evaluation meet. It writes the run folder."""
