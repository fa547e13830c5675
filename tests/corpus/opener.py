"""What a process of its own runs in a test; imports no torch, so that it starts fast."""

from __future__ import annotations

from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path

from motionsynth.corpus.cache import open_features
from motionsynth.corpus.finding import find_files
from motionsynth.corpus.plan import EncodeSettings


def open_when_told(
    folder: Path, settings: EncodeSettings, cache: Path, gate: Event, results: Queue[tuple[str, int]]
) -> None:
    """Open the features of a folder when the gate opens, and say what they are."""
    root, files, _ = find_files(folder)
    gate.wait()
    store = open_features(root, files, settings, cache=cache, workers=1)
    results.put((store.sha256, len(store.rows)))
