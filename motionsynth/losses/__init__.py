"""What families minimise: pure functions of tensors, one reference each."""
