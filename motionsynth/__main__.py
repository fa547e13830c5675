"""``python -m motionsynth`` is ``motionsynth``."""

from motionsynth.cli import main

main()
