"""Progress that suits where it is shown: a bar on a terminal, plain lines elsewhere, nothing where nobody looks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, TextIO

from client.report import Silent

if TYPE_CHECKING:
    from tqdm import tqdm

    from client.ports import Progress

PATIENCE = 0.5  # seconds that a phase may take before it is worth a bar (and the 60 ms that importing one costs)
INTERVAL = 10.0  # seconds between plain lines


class _Counted:
    """What both visible forms share: how far the phase is, and since when."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._what = ""
        self._files = self._size = 0
        self._done_files = self._done_size = 0
        self._next = 0.0

    def start(self, what: str, files: int, size: int) -> None:
        self._what, self._files, self._size = what, files, size
        self._done_files = self._done_size = 0
        self._next = self._clock() + PATIENCE

    def advance(self, files: int, size: int) -> None:
        self._done_files += files
        self._done_size += size


class Lines(_Counted):
    """One line now and then; nothing for what is over at once."""

    def advance(self, files: int, size: int) -> None:
        super().advance(files, size)
        now = self._clock()
        if now >= self._next:
            self._next = now + INTERVAL
            sizes = f", {human_size(self._done_size)} of {human_size(self._size)}" if self._size else ""
            print(f"{self._what}: {self._done_files:,} of {self._files:,} files{sizes}", file=self._out, flush=True)

    def done(self) -> None: ...


class Bar(_Counted):
    """tqdm's bar by bytes, or by files where there are no bytes to count."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(out, clock)
        self._bar: tqdm[NoReturn] | None = None

    def advance(self, files: int, size: int) -> None:
        super().advance(files, size)
        if self._bar is None:
            if self._clock() < self._next:
                return
            self._bar = self._open()
            return
        done = self._done_size if self._size else self._done_files
        self._bar.set_postfix_str(f"{self._done_files:,}/{self._files:,} files", refresh=False)
        self._bar.update(done - self._bar.n)

    def done(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _open(self) -> tqdm[NoReturn]:
        from tqdm import tqdm

        return tqdm(
            desc=self._what,
            initial=self._done_size if self._size else self._done_files,
            total=self._size or self._files,
            unit="B" if self._size else " files",
            unit_scale=bool(self._size),
            file=self._out,
            leave=False,
            dynamic_ncols=True,
        )


def progress_for(out: TextIO, wanted: bool) -> Progress:
    """`out` is where people look, usually stderr. `wanted`: not asked to be quiet."""
    if not wanted:
        return Silent()
    if not out.isatty():
        return Lines(out)
    from importlib.util import find_spec

    return Bar(out) if find_spec("tqdm") else Lines(out)


def human_size(size: int) -> str:
    """Decimal units, two digits at least: 999 B, 1.2 kB, 34 MB."""
    if size < 1000:
        return f"{size} B"
    value, unit = size / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
