"""A real nginx or Caddy in front of a real server, with the sample of deploy/ as it stands but for names and ports."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

from tests.server import GobiServer
from tests.services import Service

SAMPLES = Path(__file__).resolve().parent.parent.parent / "deploy"


class Front(Service):
    """A proxy that does TLS as localhost. `gobi_port`: where the server listens."""

    program = ""
    changes: tuple[tuple[str, str], ...] = ()  # of the sample, beside those that names and ports need

    def __init__(self, folder: Path, gobi_port: int) -> None:
        super().__init__(folder)
        self.gobi_port = gobi_port
        self.certificate, self.key = folder / "cert.pem", folder / "key.pem"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
                *("-keyout", self.key, "-out", self.certificate),
            ],
            check=True,
            capture_output=True,
        )

    @classmethod
    def missing(cls) -> bool:
        return cls.found() is None

    @classmethod
    def found(cls) -> str | None:
        return shutil.which(cls.program, path=os.environ.get("PATH", "") + ":/usr/sbin")

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    @property
    def url(self) -> str:
        return f"https://{self.host}"

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))

    def as_server(self) -> GobiServer:
        """For what talks to a server: this address, and nothing that could be started."""
        one = GobiServer(self.folder / "front")
        one.url = self.url
        return one

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def sample(self, name: str, *changes: tuple[str, str]) -> str:
        """With what a person has to put in. Every change has to have its place."""
        text = (SAMPLES / name).read_text()
        for old, new in (*changes, *self.changes, ("127.0.0.1:8787", f"127.0.0.1:{self.gobi_port}")):
            assert old in text, f"deploy/{name} has no {old!r}"
            text = text.replace(old, new)
        return text


class Nginx(Front):
    program = "nginx"

    def command(self) -> list[str]:
        site = self.sample(
            "nginx.conf",
            ("listen 443 ", f"listen 127.0.0.1:{self.port} "),
            ("server_name gobi.example.org", "server_name localhost"),
            ("/etc/letsencrypt/live/gobi.example.org/fullchain.pem", str(self.certificate)),
            ("/etc/letsencrypt/live/gobi.example.org/privkey.pem", str(self.key)),
        )
        (self.folder / "site.conf").write_text(site)
        temporary = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        folders = " ".join(f"{name}_temp_path {self.folder / name};" for name in temporary)
        user = "user root;" if os.geteuid() == 0 else ""  # who alone may enter the folder
        (self.folder / "nginx.conf").write_text(
            f"daemon off; pid {self.folder / 'pid'}; error_log stderr; {user}\n"
            f"events {{}}\nhttp {{ access_log off; {folders} include {self.folder / 'site.conf'}; }}\n"
        )
        return [str(self.found()), "-e", "stderr", "-c", str(self.folder / "nginx.conf")]


class Caddy(Front):
    program = "caddy"

    def command(self) -> list[str]:
        site = self.sample(
            "Caddyfile",
            ("\n{\n\tservers {\n", "\n{\n\tadmin off\n\tauto_https off\n\tservers {\n"),
            ("\ngobi.example.org {\n", f"\nhttps://localhost:{self.port} {{\n\ttls {self.certificate} {self.key}\n"),
        )
        (self.folder / "Caddyfile").write_text(site)
        kept = ["env", f"XDG_CONFIG_HOME={self.folder}", f"XDG_DATA_HOME={self.folder}"]  # what it remembers
        return [*kept, str(self.found()), "run", "--adapter", "caddyfile", "--config", str(self.folder / "Caddyfile")]


class NginxBelow(Nginx):
    """With gobi below a path, which is handed on as it came."""

    changes = (("location / {", "location /gobi/ {"),)


class NginxStripping(Nginx):
    """With gobi below a path that gobi does not get to see."""

    changes = (*NginxBelow.changes, ("proxy_pass http://127.0.0.1:8787;", "proxy_pass http://127.0.0.1:8787/;"))


class CaddyBelow(Caddy):
    changes = (("reverse_proxy 127", "reverse_proxy /gobi/* 127"),)


class CaddyStripping(Caddy):
    changes = (("reverse_proxy 127", "uri strip_prefix /gobi\n\treverse_proxy 127"),)
