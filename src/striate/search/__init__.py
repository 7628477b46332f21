"""Search for a network: candidates from a space of rows, evolved under a cost limit, compared with their seed."""
