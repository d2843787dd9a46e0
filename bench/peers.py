"""The programs that are measured: each brings folder A to a hub, and from there to folder B, on loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

from bench.place import Place, free_port


class Peer:
    """One program in one place. `start` is never on the clock; `sync_a` and `sync_b` are."""

    name: ClassVar[str]
    what: ClassVar[str]
    hint: ClassVar[str]  # how to get it

    def __init__(self, place: Place) -> None:
        self.place = place

    @staticmethod
    def program() -> str | None:
        """Where the program is, None where it is missing."""
        raise NotImplementedError

    def start(self) -> None:
        """Starts the hub and makes the folders known to it. Raises Failed."""
        raise NotImplementedError

    def sync_a(self) -> None:
        raise NotImplementedError

    def sync_b(self) -> None:
        raise NotImplementedError


class Gobi(Peer):
    name = "gobi"
    what = (
        "`gobi sync A`, `gobi sync B`; server on SQLite with one worker. Everything durable before it is acknowledged"
    )
    hint = "make install"

    @staticmethod
    def program() -> str | None:
        beside_python = Path(sys.executable).with_name("gobi")
        return str(beside_python) if beside_python.exists() else None

    def start(self) -> None:
        place, port = self.place, free_port()
        self._gobi = self.program() or "gobi"
        self._env = {
            "HOME": str(place.meta),
            "XDG_CONFIG_HOME": str(place.meta / "config"),
            "GOBI_DATA_DIR": str(place.hub),
            "GOBI_LISTEN": f"127.0.0.1:{port}",
        }
        password = place.meta / "password"
        password.touch(0o600)
        password.write_text("correct horse battery staple\n")
        place.serve([self._gobi, "serve"], self._env, port)
        place.run([self._gobi, "user", "add", "me", "--password-file", password], self._env)
        vault = [f"http://127.0.0.1:{port}", "notes", "--user", "me", "--password-file", str(password)]
        place.run([self._gobi, "connect", place.a, *vault, "--device", "a", "--create"], self._env)
        place.run([self._gobi, "connect", place.b, *vault, "--device", "b"], self._env)

    def sync_a(self) -> None:
        self.place.run([self._gobi, "sync", self.place.a], self._env)

    def sync_b(self) -> None:
        self.place.run([self._gobi, "sync", self.place.b], self._env)


class Unison(Peer):
    name = "unison"
    what = "`unison -batch -times` A ↔ hub, then B ↔ hub, over a socket. Never calls fsync"
    hint = "apt-get install unison"

    @staticmethod
    def program() -> str | None:
        return shutil.which("unison")

    def start(self) -> None:
        # A unison server serves one client at a time and is slow to let go of it: one for each folder, on one hub.
        self._ports = free_port(), free_port()
        for port in self._ports:
            self.place.serve(["unison", "-socket", str(port), "-listen", "127.0.0.1"], self._env("hub"), port)

    def sync_a(self) -> None:
        self._sync(self.place.a, 0)

    def sync_b(self) -> None:
        self._sync(self.place.b, 1)

    def _sync(self, folder: Path, server: int) -> None:
        hub = f"socket://127.0.0.1:{self._ports[server]}/{self.place.hub}"
        flags = ["-batch", "-ui", "text", "-times", "-silent", "-confirmbigdel=false"]
        self.place.run(["unison", folder, hub, *flags], self._env(folder.name))

    def _env(self, who: str) -> dict[str, str]:
        archives = self.place.meta / f"unison-{who}"
        archives.mkdir(exist_ok=True)
        return {"UNISON": str(archives)}


class Rsync(Peer):
    name = "rsync"
    what = "`rsync -a --delete` A → hub, hub → B, over its daemon. One way and without fsync: the floor, no sync"
    hint = "apt-get install rsync"
    flags: ClassVar[list[str]] = ["-a", "--delete"]

    @staticmethod
    def program() -> str | None:
        return shutil.which("rsync")

    def start(self) -> None:
        place, port = self.place, free_port()
        owner = "uid = root\ngid = root\n" if os.geteuid() == 0 else ""  # else the daemon turns into nobody
        config = place.meta / "rsyncd.conf"
        config.write_text(f"address = 127.0.0.1\n[hub]\npath = {place.hub}\nread only = no\nuse chroot = no\n{owner}")
        place.serve(["rsync", "--daemon", "--no-detach", "--config", config, "--port", str(port)], {}, port)
        self._hub = f"rsync://127.0.0.1:{port}/hub/"

    def sync_a(self) -> None:
        self.place.run(["rsync", *self.flags, f"{self.place.a}/", self._hub], {})

    def sync_b(self) -> None:
        self.place.run(["rsync", *self.flags, self._hub, f"{self.place.b}/"], {})


class RsyncFsync(Rsync):
    name = "rsync-fsync"
    what = "the same with `--fsync`, every file flushed by its receiver"
    flags: ClassVar[list[str]] = ["-a", "--delete", "--fsync"]

    @staticmethod
    def program() -> str | None:
        rsync = shutil.which("rsync")
        if rsync is None:
            return None
        usage = subprocess.run([rsync, "--help"], capture_output=True, text=True).stdout
        return rsync if "--fsync" in usage else None  # since rsync 3.2.4


PEERS: dict[str, type[Peer]] = {peer.name: peer for peer in (Gobi, Unison, RsyncFsync, Rsync)}
