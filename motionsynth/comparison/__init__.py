"""Sets of windows that are compared: of a run, of files, and of held-out takes."""
