"""Transfer: features computed once, a linear probe on them, training in stages."""
