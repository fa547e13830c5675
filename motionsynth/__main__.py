"""``python -m motionsynth`` is ``motionsynth``."""

from motionsynth.cli import main  # the working folder, which ``-m`` puts first on the path, is taken off there

main()
