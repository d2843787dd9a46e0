"""The README tells the truth: its commands are run, and what it shows is what comes.

In what it shows, `…` stands for anything that differs from run to run.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

from tests.server import GOBI, PASSWORD, GobiServer

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
SERVER_SHOWN = "127.0.0.1:8787"
TIMEOUT = 120


def console_blocks(text: str) -> list[str]:
    return re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(block: str) -> list[tuple[str, str]]:
    """The (command, shown output) pairs. A command begins with "$ " and goes on after a backslash or within quotes."""
    pairs: list[tuple[str, str]] = []
    goes_on = False
    for line in block.splitlines():
        if goes_on:
            command = f"{pairs[-1][0]}\n{line}"
            pairs[-1] = (command, "")
        elif line.startswith("$ "):
            command = line[2:]
            pairs.append((command, ""))
        else:
            pairs[-1] = (pairs[-1][0], pairs[-1][1] + line + "\n")
            continue
        goes_on = command.endswith("\\") or command.count("'") % 2 == 1
    return pairs


def matches(shown: str, came: str) -> bool:
    """Whether `came` is what is shown. Spaces and line ends do not count: what is shown is broken to fit the page."""
    pattern = re.escape("".join(shown.split())).replace("…", ".*?")
    return re.fullmatch(pattern, "".join(came.split()), re.DOTALL) is not None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE)
    assert found, f"README has no section {title!r}"
    return found[1]


def test_the_first_screen_is_a_real_run(tmp_path: Path) -> None:
    """`make run` shows what the README shows, and ends in order on Ctrl-C."""
    command, _, shown = console_blocks(README)[0].partition("\n")
    assert command == "$ make run"
    place = f"127.0.0.1:{free_port()}"
    env = {name: value for name, value in os.environ.items() if not name.startswith(("GOBI_", "XDG_"))}
    demo = subprocess.Popen(
        [sys.executable, str(ROOT / "deploy" / "demo.py")],
        env=env | {"GOBI_LISTEN": place, "HOME": str(tmp_path)},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert demo.stdout is not None
    overdue = threading.Timer(TIMEOUT, demo.kill)
    overdue.start()
    lines = []
    with demo:
        for line in demo.stdout:
            lines.append(line)
            if "curl -u" in line:
                demo.send_signal(signal.SIGINT)
    overdue.cancel()
    came = "".join(lines).replace(place, SERVER_SHOWN)
    screen, _, farewell = came.partition("\nStopped.")
    assert matches(shown, screen), came
    assert "goes on from here" in farewell
    assert demo.returncode == 0


def test_curl_alone_can_do_everything_the_protocol_offers(server: GobiServer, tmp_path: Path) -> None:
    """The walk-through is run as it stands, in one shell, against a real server."""
    steps = [pair for block in console_blocks(section("Everything with curl")) for pair in commands(block)]
    assert len(steps) > 20
    place = server.url.removeprefix("http://")
    (tmp_path / ".run").mkdir()
    (tmp_path / ".run" / "password").write_text(PASSWORD + "\n")
    (tmp_path / ".run" / "data").symlink_to(server.data_dir)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "gobi").symlink_to(GOBI)
    script = "".join(f"{command.replace(SERVER_SHOWN, place)}\nprintf '\\n--done--\\n'\n" for command, _ in steps)
    done = subprocess.run(
        ["bash"],
        input=script,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
    )
    came = done.stdout.replace(place, SERVER_SHOWN).split("\n--done--\n")[:-1]
    assert len(came) == len(steps)
    for (command, shown), output in zip(steps, came, strict=True):
        assert matches(shown, output), f"$ {command}\nshown:\n{shown}\ncame:\n{output}"
