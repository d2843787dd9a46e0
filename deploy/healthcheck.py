"""Whether the server in this container answers. Exits with 0, or with 1 and the reason.

It asks on loopback, at the port and by the scheme that the settings in the environment name.
"""

import http.client
import os
import ssl
import sys


def main() -> None:
    port = int(os.environ.get("GOBI_LISTEN", "127.0.0.1:8787").rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
    if os.environ.get("GOBI_TLS_CERT"):
        # The certificate is for a name, and this is not about who answers.
        whoever = ssl._create_unverified_context()  # noqa: S323, SLF001
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=4, context=whoever)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"127.0.0.1:{port} does not answer: {error}")
    if status != http.client.OK:
        sys.exit(f"127.0.0.1:{port} answers {status}")


if __name__ == "__main__":
    main()
