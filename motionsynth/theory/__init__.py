"""The notes' equations as small exact experiments: what holds, and the false forms that are seen to fail."""
