"""The machine's clock, as client.ports.Clock."""

from __future__ import annotations

import time


class SystemClock:
    def time_ns(self) -> int:
        return time.time_ns()

    def boot_ns(self) -> int:
        since_boot = getattr(time, "CLOCK_BOOTTIME", None)  # Linux; counts suspended time too
        return time.time_ns() - time.clock_gettime_ns(since_boot) if since_boot is not None else 0

    def today(self) -> str:
        return time.strftime("%Y-%m-%d")

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
