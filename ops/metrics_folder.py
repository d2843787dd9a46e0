"""Where the workers' numbers for /metrics are, so that any of them can add all up. In memory, and gone with the server.

What a worker counted stays counted when it is replaced; what was so in it, like its live sockets, is not so any more.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

# What prometheus-client looks for, once, when it is imported.
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX = "gobi-metrics-"


class MetricsFolder:
    """The master's. `RUNTIME_DIRECTORY` is systemd's, and of this service alone."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        runtime = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        if runtime and os.access(runtime, os.W_OK):
            self.path = Path(runtime, "metrics")
            shutil.rmtree(self.path, ignore_errors=True)
            self.path.mkdir(mode=0o700)
        else:
            memory = "/dev/shm"  # noqa: S108  # not an SD card: it is written all the time
            place = memory if os.access(memory, os.W_OK) else tempfile.gettempdir()
            _sweep(Path(place))
            self.path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place))
        environ[VARIABLE] = str(self.path)

    def forget(self, pid: int) -> None:
        """A worker ended."""
        for file in self.path.glob(f"gauge_live*_{pid}.db"):
            file.unlink(missing_ok=True)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def _sweep(place: Path) -> None:
    """What servers left there that were killed."""
    for folder in place.glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        try:
            abandoned = folder.lstat().st_uid == os.geteuid() and not Path("/proc", pid).exists()
        except OSError:
            continue
        if abandoned:
            shutil.rmtree(folder, ignore_errors=True)
