"""`make run`: a server on this machine and two folders, a laptop's and a desktop's, kept in step before your eyes.

Everything lies in `.run/` below the current folder: the server's data, both folders, and the configuration that a
person would have in the home folder. The commands shown are the commands run.
"""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import NoReturn

HERE = Path.cwd()
RUN = HERE / ".run"
GOBI = Path(sys.executable).with_name("gobi")
PASSWORD = RUN / "password"
START_TIMEOUT = 30.0  # seconds
USER, VAULT = "me", "notes"


def main() -> None:
    RUN.mkdir(exist_ok=True)
    listen = os.environ.get("GOBI_LISTEN", "127.0.0.1:8787")
    os.environ |= {"GOBI_LISTEN": listen, "GOBI_DATA_DIR": str(RUN / "data"), "XDG_CONFIG_HOME": str(RUN / "config")}
    host, port = _address(listen)
    server = _start(host, port)
    try:
        show_two_folders(f"http://{listen}")
        print(
            f"\nThe server runs until you press Ctrl-C. Its web page: http://{listen}/\n"
            f"Sign in as {USER} with the password in {PASSWORD.relative_to(HERE)}. The same without a browser:\n"
            f'  curl -u "{USER}:$(cat {PASSWORD.relative_to(HERE)})" http://{listen}/v1/vaults/{VAULT}',
            flush=True,
        )
        code = server.wait()
        _stop(f"the server ended by itself (exit {code}); its words are in .run/server.log")
    except KeyboardInterrupt:
        print("\nStopped. `make run` goes on from here; `make clean` removes everything.")
    finally:
        _end(server)


def show_two_folders(url: str) -> None:
    """The story: both ways, an edit, a rename, a deletion, and a proof. Told again, it is shorter."""
    laptop, desktop = RUN / "laptop", RUN / "desktop"
    if not PASSWORD.exists():
        PASSWORD.touch(mode=0o600)
        PASSWORD.write_text(secrets.token_urlsafe(12) + "\n")
    if USER in _quietly("user", "list").split():
        _say("The user and both folders are still there")
    else:
        _say("A user, and a folder on each of two machines")
        _gobi("user", "add", USER, "--password-file", PASSWORD)
    for folder in (laptop, desktop):
        if not (folder / ".gobi").exists():
            who = ("--user", USER, "--password-file", PASSWORD, "--device", folder.name)
            _gobi("connect", folder, url, VAULT, *who, "--create")
    _keep_them_in_step(laptop, desktop)
    _say("Both folders are the same, byte for byte")
    _run("diff", "-r", "--exclude=.gobi", laptop, desktop)
    print(f"  identical: {', '.join(_files(laptop))}")


def _keep_them_in_step(laptop: Path, desktop: Path) -> None:
    here, there = _short(laptop), _short(desktop)
    now = time.strftime("%H:%M:%S")
    first_time = not (laptop / "today.md").exists()
    _say("The laptop writes; the desktop receives")
    _shell(f"echo '{now} Written on the laptop.' >> {here}/today.md")
    if first_time:
        _shell(f"mkdir {here}/ideas")
        _shell(f"echo 'Tomatoes along the south wall.' > {here}/ideas/garden.md")
        _shell(f"echo 'A boat? Not this year.' > {here}/ideas/boat.md")
    _gobi("sync", laptop)
    _gobi("sync", desktop)
    _say("The desktop goes on, renames and deletes; the laptop follows" if first_time else "And the other way round")
    _shell(f"echo '{now} Continued on the desktop.' >> {there}/today.md")
    if first_time:
        _shell(f"mv {there}/ideas/garden.md {there}/ideas/kitchen-garden.md")
        _gobi("rm", desktop, "ideas/boat.md")
    _gobi("sync", desktop)
    _gobi("sync", laptop)


def _files(folder: Path) -> list[str]:
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in paths if path.parts[0] != ".gobi")


# ------------------------------------------------------------------------------------------------- running commands


def _say(text: str) -> None:
    print(f"\n# {text}", flush=True)


def _gobi(*arguments: str | Path) -> None:
    _run(GOBI, *arguments)


def _shell(line: str) -> None:
    print(f"$ {line}", flush=True)
    subprocess.run(["/bin/sh", "-c", line], check=True)


def _run(*command: str | Path) -> None:
    print("$ " + " ".join(shlex.quote(_short(word)) for word in command), flush=True)
    done = subprocess.run([str(word) for word in command], check=False, stdout=subprocess.PIPE, text=True)
    for line in done.stdout.splitlines():
        print(f"  {line.replace(f'{HERE}{os.sep}', '')}", flush=True)
    if done.returncode:
        _stop(f"that failed (exit {done.returncode}); `make clean` and `make run` begin anew")


def _quietly(*arguments: str) -> str:
    done = subprocess.run([str(GOBI), *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        _stop(done.stderr.strip())
    return done.stdout


def _short(word: str | Path) -> str:
    path = Path(word)
    if path == GOBI:
        return "gobi"
    return str(path.relative_to(HERE)) if path.is_relative_to(HERE) else str(word)


# ------------------------------------------------------------------------------------------------------- the server


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        _stop(f"GOBI_LISTEN is {listen!r}; for this demonstration it is an address and a port, like 127.0.0.1:8787")
    return host.strip("[]"), int(port)


def _start(host: str, port: int) -> subprocess.Popen[bytes]:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        pass  # nobody there: good
    else:
        _stop(
            f"something already listens on {host}:{port}. Stop it, or take another port: "
            f"make run GOBI_LISTEN={host}:{port + 1}"
        )
    print("$ gobi serve &", flush=True)
    # A session of its own: Ctrl-C is for this program, which then stops the server in order.
    with (RUN / "server.log").open("ab") as log:
        server = subprocess.Popen([str(GOBI), "serve"], stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + START_TIMEOUT
    while not _answers(host, port):
        if server.poll() is not None or time.monotonic() > deadline:
            _end(server)
            last = (RUN / "server.log").read_text(errors="replace").splitlines()[-1:]
            _stop(f"the server did not start: {''.join(last)} (more in .run/server.log)")
        time.sleep(0.05)
    return server


def _answers(host: str, port: int) -> bool:
    connection = HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _end(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()


def _stop(message: str) -> NoReturn:
    print(f"make run: {message}", file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    # `make run` is stopped by Ctrl-C; a plain kill is to end the server, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    main()
