"""A run directory from end to end: begin it, train in it, sample it, write motion from it."""
