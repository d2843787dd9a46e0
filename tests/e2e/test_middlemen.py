"""A proxy in front of the server that nobody has told of gobi."""

from __future__ import annotations

import json
import random

from tests.e2e.machines import House, in_step
from tests.middlemen import ReverseProxy, body_limit
from tests.server import USER

MB = 1024 * 1024


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def test_notes_pass_a_proxy_that_takes_a_megabyte_and_a_larger_file_is_refused_alone(house: House) -> None:
    """nginx takes 1 MB unless it is told otherwise."""
    with ReverseProxy(house.server.address, body_limit(MB)) as proxy:
        laptop = house.machine("laptop", url=proxy.url)
        for number in range(600):
            laptop.write(f"notes/{number}.md", noise(4_600))
        laptop.write("picture.raw", noise(2 * MB))
        laptop.write("film.mp4", noise(9 * MB))
        first = laptop.sync(code=1)
        assert "600 sent" in first.out
        assert "picture.raw: the proxy nginx/1.22.1 in front of" in first.out
        assert "film.mp4: the proxy nginx/1.22.1 in front of" in first.out
        assert "client_max_body_size" in first.out
        assert first.out.count("413") == 2
        laptop.delete("picture.raw")
        laptop.delete("film.mp4")
        laptop.sync()
        desktop = house.machine("desktop", url=proxy.url)
        desktop.sync()
        assert in_step(laptop, desktop)


def test_a_first_sync_of_many_files_reports_them_in_requests_that_a_proxy_takes(house: House) -> None:
    with ReverseProxy(house.server.address, body_limit(MB // 4)) as proxy:
        laptop = house.machine("laptop", url=proxy.url)
        for number in range(2_000):
            laptop.write(f"{number:0100}.md", str(number))
        laptop.sync()
        assert len(house.live()) == 2_000
        assert proxy.refused


def test_an_upload_that_a_proxy_gives_up_is_tried_again_and_keeps_no_other_file_back(house: House) -> None:
    """Cloudflare answers 524 when the server takes more than its hundred seconds."""
    with ReverseProxy(house.server.address, lambda method, target, size: 524 if method == "PUT" else None) as proxy:
        laptop = house.machine("laptop", url="")
        laptop.gobi("disconnect", str(laptop.folder))
        laptop.url = proxy.url
        proxy.rule, rule = (lambda method, target, size: None), proxy.rule
        laptop.connect()
        laptop.write("film.mp4", noise(9 * MB))
        laptop.write("note.md", "note")
        proxy.rule = rule
        run = laptop.sync(code=69)
        assert "1 sent" in run.out
        assert "answered 524" in run.out
        proxy.rule = lambda method, target, size: None
        laptop.sync()
        assert house.live() == {"film.mp4", "note.md"}


def test_a_server_below_a_path_is_as_good_as_one_at_the_top(house: House) -> None:
    """https://host/gobi/ behind a proxy that takes the path away."""
    with ReverseProxy(house.server.address, below="/gobi") as proxy:
        laptop = house.machine("laptop", url=f"{proxy.url}/gobi/")
        laptop.write("100% ü?#.md", "odd")
        laptop.write("film.mp4", noise(9 * MB))
        laptop.sync()
        made = house.server.gobi("invite", USER, house.vault, "--url", house.server.url, "--json")
        code = json.loads(made.stdout)["code"].replace(house.server.url, f"{proxy.url}/gobi")
        phone = house.machine("phone", connect=False)
        phone.gobi("connect", str(phone.folder), code, "--device", f"{house.vault} phone")
        phone.sync()
        assert in_step(laptop, phone)
        assert phone.status()["server"]["url"] == f"{proxy.url}/gobi"
