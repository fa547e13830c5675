"""Models fitted on the training split of a corpus to judge motion by: feature spaces, cells, and a realism gate."""
