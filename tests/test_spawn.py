"""Processes that end with the tests, and not before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import wait_until

ROOT = Path(__file__).resolve().parent.parent
# A test run that starts a process in a thread of a moment, as some tests start servers, and then hangs. A process that
# got its last signal with the end of that thread would not answer any more.
TESTS = """
import os, sys, threading
from subprocess import PIPE
from tests.services import wait_until
from tests.spawn import spawn

# It does not end with its input, which ends with the tests anyhow.
ANSWER = 'read line; echo "$line"; exec sleep 600'
started = []
def start():
    one = spawn(["sh", "-c", ANSWER], stdin=PIPE, stdout=PIPE, text=True)
    started.extend((threading.get_native_id(), one))
thread = threading.Thread(target=start)
thread.start()
thread.join()
number, one = started
wait_until(lambda: not os.path.exists(f"/proc/self/task/{number}"), "the thread to be gone")
print("still there", file=one.stdin, flush=True)
print(one.pid, one.stdout.readline(), flush=True)
sys.stdin.read()
"""


def runs(pid: int) -> bool:
    """Not one that has ended and is only not buried yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("end", ["kill", "in order"])
def test_a_process_outlives_the_thread_that_started_it_but_not_the_tests(end: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", TESTS], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as tests:
        assert tests.stdout is not None
        number, _, answer = tests.stdout.readline().partition(" ")
        pid = int(number)
        assert answer == "still there\n"
        if end == "kill":
            tests.kill()
    wait_until(lambda: not runs(pid), "the process to end with the tests")
