"""What processes that work for another one have in common."""

from __future__ import annotations

import os
import threading
from multiprocessing import parent_process

__all__ = ["follow_parent"]


def follow_parent() -> None:
    """End this worker when the process that started it is killed: nobody else would ever tell it to."""

    def wait_for_it() -> None:
        if parent := parent_process():
            parent.join()
            os._exit(1)

    threading.Thread(target=wait_for_it, daemon=True).start()
