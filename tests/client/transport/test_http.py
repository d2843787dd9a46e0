"""What the client sends for each call of its transport, and what it makes of answers good, bad and cut."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from client.ports import LocalChange, ServerAway, ServerRefused
from sync import bundle
from sync.model import Change, Version
from tests.client.transport.scripted import Peer, Request, Script, cut, vault

Serve = Callable[..., Script]


def version(path: str, body: bytes, stamp: int = 7) -> Version:
    return Version(path, "put", stamp, None, hashlib.sha256(body).hexdigest(), len(body), None, "laptop", "me")


def put_of(path: str, body: bytes, base: int | None = None) -> Change:
    return Change(path, "put", base, hashlib.sha256(body).hexdigest(), len(body), 1_700_000_000_000_000)


# ------------------------------------------------------------------------------------------------------- sending


def test_a_path_is_percent_encoded(serve: Serve, connect: Any) -> None:
    body = b"x"
    answer = version("é 100%?#/ü.md", body).to_json()
    script = serve(lambda peer, _: peer.json("201 Created", answer))
    connect(script).put(put_of("é 100%?#/ü.md", body), io.BytesIO(body), keep=False)
    assert script.requests[0].target == "/v1/vaults/notes/files/%C3%A9%20100%25%3F%23/%C3%BC.md"


def test_a_put_announces_base_hash_size_and_mtime(serve: Serve, connect: Any) -> None:
    body = bytes(range(256)) * 4096
    answer = version("big.bin", body).to_json() | {"after": "c1", "cursor": "c2"}
    script = serve(*[lambda peer, _: peer.json("200 OK", answer)] * 2)
    transport = connect(script)
    pushed = transport.put(put_of("big.bin", body, base=5), io.BytesIO(body), keep=True)
    transport.put(put_of("big.bin", body), io.BytesIO(body), keep=False)
    first, second = script.requests
    assert first.body == body
    assert first.headers["if-match"] == '"5"'
    assert first.headers["gobi-hash"] == hashlib.sha256(body).hexdigest()
    assert first.headers["gobi-mtime"] == "1700000000000000"
    assert first.target.endswith("?on_conflict=keep")
    assert second.headers["if-none-match"] == "*"
    assert (pushed.after, pushed.cursor) == ("c1", "c2")
    assert [(one.status, one.version and one.version.stamp) for one in pushed.results] == [("stored", 7)]


def test_a_put_that_lost_comes_back_as_a_rejected_result_with_the_head(serve: Serve, connect: Any) -> None:
    head = version("big.bin", b"theirs", 9)
    script = serve(lambda peer, _: peer.problem(412, "conflict", head=head.to_json()))
    pushed = connect(script).put(put_of("big.bin", b"mine"), io.BytesIO(b"mine"), keep=False)
    assert [(one.status, one.code, one.head) for one in pushed.results] == [("rejected", "conflict", head)]
    assert pushed.cursor is None


def test_a_put_that_became_a_candidate_says_so(serve: Serve, connect: Any) -> None:
    head = version("big.bin", b"theirs", 9)
    answer = {"conflict": {"id": "k"}, "head": head.to_json()}
    script = serve(lambda peer, _: peer.json("202 Accepted", answer))
    pushed = connect(script).put(put_of("big.bin", b"mine"), io.BytesIO(b"mine"), keep=True)
    assert [(one.status, one.conflict, one.head) for one in pushed.results] == [("conflict", {"id": "k"}, head)]


def test_a_refusal_before_the_body_was_read_is_heard_over_the_broken_pipe(serve: Serve, connect: Any) -> None:
    """A server may answer 413 from the headers alone and close with most of the body still on its way."""

    def refuse_and_close(peer: Peer, request: Request) -> None:
        peer.problem(413, "too-large")
        peer.close()

    body = bytes(32 * 1024 * 1024)
    script = serve(refuse_and_close, read_bodies=False)
    pushed = connect(script).put(put_of("big.bin", body), io.BytesIO(body), keep=False)
    assert [(one.status, one.code) for one in pushed.results] == [("rejected", "too-large")]


def test_a_refused_member_stops_everything_not_just_one_file(serve: Serve, connect: Any) -> None:
    script = serve(lambda peer, _: peer.problem(403, "forbidden"))
    with pytest.raises(ServerRefused, match="forbidden"):
        connect(script).put(put_of("big.bin", b"mine"), io.BytesIO(b"mine"), keep=False)


def test_a_file_that_shrinks_while_it_is_sent_is_a_local_change(serve: Serve, connect: Any) -> None:
    script = serve(vault, vault)
    transport = connect(script)
    with pytest.raises(LocalChange, match="shorter"):
        transport.put(put_of("big.bin", b"x" * 100), io.BytesIO(b"x" * 60), keep=False)
    assert transport.vault() == {"name": "notes"}, "the half-sent request does not poison the next one"


def test_a_file_that_grows_while_it_is_sent_is_sent_as_announced(serve: Serve, connect: Any) -> None:
    answer = version("big.bin", b"x" * 60).to_json()
    script = serve(lambda peer, _: peer.json("200 OK", answer), vault)
    transport = connect(script)
    transport.put(put_of("big.bin", b"x" * 60), io.BytesIO(b"x" * 100), keep=False)
    assert script.requests[0].body == b"x" * 60
    transport.vault()
    assert script.connections == 1


def test_a_push_is_a_bundle_with_the_manifest_first_and_the_bodies_in_its_order(serve: Serve, connect: Any) -> None:
    changes = [put_of("a.md", b"aaa"), Change("b.md", "delete", 5), put_of("known.md", b"kkk"), put_of("c/ü.md", b"")]
    rows = [
        {"path": "a.md", "status": "stored", "version": version("a.md", b"aaa").to_json()},
        {"path": "b.md", "status": "rejected", "code": "conflict", "head": version("b.md", b"x").to_json()},
        {"path": "known.md", "status": "need-body"},
        {"path": "c/ü.md", "status": "conflict", "conflict": {"id": "k"}},
    ]
    script = serve(lambda peer, _: peer.json("200 OK", {"results": rows, "after": None, "cursor": None}))
    pushed = connect(script).push(changes, {"a.md": b"aaa", "c/ü.md": b""}, keep=True)
    sent = script.requests[0]
    assert sent.target == "/v1/vaults/notes/push?on_conflict=keep"
    assert sent.headers["content-type"] == "application/x-tar"
    reader = bundle.BundleReader(max_entries=10, max_total=1 << 20)
    entries = [event for event in reader.feed(sent.body) if isinstance(event, bundle.Entry)]
    reader.close()
    assert [(entry.path, entry.body) for entry in entries[1:]] == [("a.md", b"aaa"), ("c/ü.md", b"")]
    assert json.loads(entries[0].body or b"") == {"changes": [change.to_json() for change in changes]}
    assert [one.status for one in pushed.results] == ["stored", "rejected", "need-body", "conflict"]
    assert pushed.results[1].head is not None


# ------------------------------------------------------------------------------------------------------ fetching


def tar(*files: tuple[str, bytes]) -> bytes:
    parts = [bundle.header(path, len(body), 0) + body + bundle.padding(len(body)) for path, body in files]
    return b"".join([*parts, bundle.END])


FILES = [("a.md", b"aaa"), ("empty", b""), ("long.bin", b"l" * 700_001), ("z.md", b"zzz")]


def test_a_pull_brings_the_bodies_in_order(serve: Serve, connect: Any) -> None:
    wanted = [version(path, body, stamp) for stamp, (path, body) in enumerate(FILES, 1)]
    script = serve(lambda peer, _: peer.send("200 OK", tar(*FILES)), vault)
    transport = connect(script)
    got = [(one.path, b"".join(pieces)) for one, pieces in transport.pull(wanted)]
    assert got == FILES
    assert json.loads(script.requests[0].body)["files"][0] == {"path": "a.md", "stamp": 1}
    transport.vault()
    assert script.connections == 1, "the answer was read to its end"


def test_a_body_left_unread_is_not_mixed_into_the_next(serve: Serve, connect: Any) -> None:
    wanted = [version(path, body) for path, body in FILES]
    script = serve(lambda peer, _: peer.send("200 OK", tar(*FILES)))
    assert [one.path for one, _ in connect(script).pull(wanted)] == [path for path, _ in FILES]


def test_a_pull_cut_in_the_middle_gives_what_was_whole_and_then_says_so(serve: Serve, connect: Any) -> None:
    wanted = [version(path, body) for path, body in FILES]
    whole = tar(*FILES)

    def half(peer: Peer, request: Request) -> None:
        peer.send("200 OK", whole[:300_000], length=len(whole))
        peer.close()

    got = []
    with pytest.raises(ServerAway):
        for one, pieces in connect(serve(half)).pull(wanted):
            got.append((one.path, b"".join(pieces)))
    assert got == FILES[:2]


@pytest.mark.parametrize(
    "answer",
    [tar(("b.md", b"other")), tar(), tar(("a.md", b"aaa"), ("b.md", b"more")), b"<html>" * 200],
    ids=["another file", "nothing", "one too many", "no archive"],
)
def test_a_pull_that_brings_something_else_is_refused(serve: Serve, connect: Any, answer: bytes) -> None:
    script = serve(lambda peer, _: peer.send("200 OK", answer))
    with pytest.raises(ServerAway, match="sync again"):
        for _, pieces in connect(script).pull([version("a.md", b"aaa")]):
            b"".join(pieces)


def test_a_pull_of_what_the_server_lacks_names_it(serve: Serve, connect: Any) -> None:
    missing = [{"path": "a.md", "stamp": 7}]
    script = serve(lambda peer, _: peer.problem(404, "not-found", missing=missing))
    with pytest.raises(ServerRefused) as no:
        list(connect(script).pull([version("a.md", b"aaa")]))
    assert no.value.problem["missing"] == missing


BIG = bytes(range(256)) * 4000


def half_of_it(peer: Peer, request: Request) -> None:
    peer.send("200 OK", BIG[:400_000], length=len(BIG))
    peer.close()


def rest_of_it(peer: Peer, request: Request) -> None:
    start = int(request.headers["range"].removeprefix("bytes=").removesuffix("-"))
    end = len(BIG) - 1
    peer.send("206 Partial", BIG[start:], f"Content-Range: bytes {start}-{end}/{len(BIG)}")


def test_a_cut_download_goes_on_where_it_was_cut(serve: Serve, connect: Any) -> None:
    script = serve(half_of_it, rest_of_it)
    assert b"".join(connect(script).get(version("big.bin", BIG))) == BIG
    assert script.requests[1].headers["if-range"] == '"7"'
    assert script.requests[1].target == "/v1/vaults/notes/files/big.bin?stamp=7"


def test_a_server_that_cannot_go_on_sends_it_all_and_nothing_comes_twice(serve: Serve, connect: Any) -> None:
    script = serve(half_of_it, lambda peer, _: peer.send("200 OK", BIG))
    assert b"".join(connect(script).get(version("big.bin", BIG))) == BIG


def test_a_download_that_brings_nothing_more_is_given_up(serve: Serve, connect: Any) -> None:
    slept: list[float] = []
    script = serve(half_of_it, cut, cut, cut)
    with pytest.raises(ServerAway):
        b"".join(connect(script, slept).get(version("big.bin", BIG)))
    assert len(script.requests) == 4
    assert slept == [0, 1, 2]


def test_a_body_of_another_length_than_promised_is_refused(serve: Serve, connect: Any) -> None:
    script = serve(lambda peer, _: peer.send("200 OK", BIG + b"!"))
    with pytest.raises(ServerRefused, match="gobi check"):
        b"".join(connect(script).get(version("big.bin", BIG)))


def test_an_empty_body_is_downloaded_too(serve: Serve, connect: Any) -> None:
    script = serve(lambda peer, _: peer.send("200 OK", b""))
    assert b"".join(connect(script).get(version("empty", b""))) == b""
