"""The peak of a process's anonymous memory: what no file stands behind, unlike a memory map's pages."""

import re
import threading
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

__all__ = ["anonymous_bytes", "in_new_process", "sampled_peak"]

_SECONDS = 0.02


def anonymous_bytes():
    """Return the anonymous memory of this process in bytes, RssAnon; Linux only."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise RuntimeError("no RssAnon in /proc/self/status")
    return 1024 * int(found[1])


class Peak:
    """The highest number of bytes that was seen."""

    def __init__(self):
        self.bytes = anonymous_bytes()

    def look(self):
        """Compare with what is there now."""
        self.bytes = max(self.bytes, anonymous_bytes())


@contextmanager
def sampled_peak():
    """Yield a Peak, which a thread looks after every 20 ms of the block."""
    peak, is_over = Peak(), threading.Event()

    def watch():
        while not is_over.wait(_SECONDS):
            peak.look()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        is_over.set()
        watcher.join()
        peak.look()


def in_new_process(work, *args):
    """Return what a function of a module returns in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *args).result()
