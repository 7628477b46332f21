"""Pure tensor pieces: blocks, losses, metrics. They know no dataset, no blueprint, no run."""
