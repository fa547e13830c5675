"""Walkers, a procedural corpus whose density is known: figures, their motion, and what a window says of them."""
