"""Studies: the plan of the runs to compare, and carrying it out."""
