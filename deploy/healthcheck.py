"""Whether the server in this container answers. Exits with 0, or with 1 and the reason.

It asks where the settings in the environment say that the server listens, and by the scheme that they name.
"""

import http.client
import os
import socket
import ssl
import sys

TIMEOUT_S = 4
# Who listens on every address is asked on loopback.
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # nothing is bound here


def connected(listen: str) -> socket.socket:
    """Raises OSError."""
    if listen.startswith("unix:"):
        line = socket.socket(socket.AF_UNIX)
        line.settimeout(TIMEOUT_S)
        line.connect(listen.removeprefix("unix:"))
        return line
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    return socket.create_connection((EVERYWHERE.get(host, host), int(port)), TIMEOUT_S)


def main() -> None:
    listen = os.environ.get("GOBI_LISTEN") or "127.0.0.1:8787"
    connection = http.client.HTTPConnection("localhost")
    try:
        connection.sock = connected(listen)
        if os.environ.get("GOBI_TLS_CERT"):
            # The certificate is for a name, and this is not about who answers.
            whoever = ssl._create_unverified_context()  # noqa: S323, SLF001
            connection.sock = whoever.wrap_socket(connection.sock)
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"{listen} does not answer: {error}")
    if status != http.client.OK:
        sys.exit(f"{listen} answers {status}")


if __name__ == "__main__":
    main()
