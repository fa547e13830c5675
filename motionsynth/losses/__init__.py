"""Losses of families: pure functions of tensors, one reference each."""
