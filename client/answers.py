"""Words for answers that are not gobi's: a proxy's, a router's, a sign-in page's."""

from __future__ import annotations

from http.client import HTTPResponse

from client.ports import ServerRefused

TOO_LARGE = 413


def not_gobis(url: str, response: HTTPResponse, sent: int = 0, why: str = "") -> ServerRefused:
    """What to make of an answer that is not of the protocol's form. `sent`: the bytes of the request's body. `why`:
    what is wrong with it, where that is no matter of seeing.

    The refusal's code is `http-` and the status, and it has no problem.
    """
    status = response.status
    code = f"http-{status}"
    if status == TOO_LARGE:
        return ServerRefused(status, code, _too_large(url, response, sent))
    said = f"{url} answered {status} {response.reason[:60]}, and not as a gobi server does"
    said += f" ({why[:200]})" if why else ""
    name = server_name(response)
    whose = f" (it calls itself {name})" if name else ""
    return ServerRefused(status, code, f"{said}{whose}; check the address and any proxy")


def server_name(response: HTTPResponse) -> str:
    """What the answering program calls itself, "" where it does not."""
    return response.headers.get("Server", "").strip()[:60]


def is_not_gobis(refused: ServerRefused) -> bool:
    """Whether something else than a gobi server said so."""
    return refused.code.startswith("http-")


def _too_large(url: str, response: HTTPResponse, sent: int) -> str:
    from client.progress import human_size

    name = server_name(response)
    who = f"the proxy {name} in front of {url}" if name else f"something between this machine and {url}"
    size = f" of {human_size(sent)}" if sent else " of this size"
    return (
        f"{who} takes no request{size} (413 {response.reason}): have its limit raised "
        "(in nginx client_max_body_size), or leave the file out"
    )
