"""A vault with something of everything, for looking at the page."""

from __future__ import annotations

import struct
import zlib

from tests.e2e.machines import House, Machine
from tests.server import USER

BASE = (
    "# Shopping\n\n- bread\n- milk\n- apples\n\n# Garden\n\n- water the beans\n- cut the hedge\n- tie up the tomatoes\n"
)
LAPTOP = BASE.replace("- milk\n", "- oat milk\n- coffee\n").replace(
    "- cut the hedge\n", "- cut the hedge, north side\n"
)
PHONE_TEXT = BASE.replace("- milk\n", "- two bottles of milk\n").replace("# Garden", "# In the garden")

# Control characters are no part of a path: the server refuses them.
HOSTILE_NAMES = [
    "<script>alert(1)</script>.md",
    '"><img src=x onerror=alert(2)>.txt',
    "invoice\u202efdp.exe",
    " leading and trailing ",
    "zero\u200bwidth.md",
    "javascript:alert(3)",
    "100%25 ?#&=+.md",
    "العربية.txt",
]


def picture(colour: tuple[int, int, int], size: int = 240) -> bytes:
    """A PNG of one colour with a darker frame."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    dark = bytes(part // 2 for part in colour)
    edge = size // 12
    rows = bytearray()
    for row in range(size):
        frame = row < edge or row >= size - edge
        middle = (dark if frame else bytes(colour)) * (size - 2 * edge)
        rows += b"\0" + dark * edge + middle + dark * edge
    head = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(rows))) + chunk(b"IEND", b"")
    )


def disagree(first: Machine, second: Machine, path: str, base: bytes, mine: bytes, theirs: bytes) -> None:
    """Both machines edit one file at once: `second` comes later, so that its edit waits as a candidate."""
    first.write(path, base)
    first.sync(code=None)
    second.sync(code=None)
    first.write(path, theirs)
    second.write(path, mine)
    first.sync(code=None)
    second.sync(code=None)


def furnish(house: House) -> None:
    """Two machines, folders, versions, deletions, pictures, three open conflicts, and two devices of their own."""
    for device in (f"{house.vault} phone", f"{house.vault} laptop"):
        house.server.gobi("user", "token", "add", USER, device)
    phone, laptop = house.machine("phone"), house.machine("laptop")
    phone.write("notes/todo.md", "# To do\n\n- call the dentist\n- book the train\n")
    phone.write("notes/reading/list.md", "Middlemarch\nThe Dispossessed\n")
    phone.write("notes/2026/november.md", "A quiet month.\n")
    phone.write("recipes/soup.md", "Leeks, potatoes, salt.\n")
    phone.write("photos/beach.png", picture((230, 190, 120)))
    phone.write("bin/tool.bin", bytes(range(256)) * 64)
    phone.sync()
    laptop.sync()
    laptop.write("notes/todo.md", "# To do\n\n- call the dentist (Tuesday)\n- book the train\n- renew the passport\n")
    laptop.write("recipes/bread.md", "Flour, water, salt, time.\n")
    laptop.sync()
    laptop.write("notes/todo.md", "# To do\n\n- book the train\n- renew the passport\n- water the beans\n")
    laptop.sync()
    laptop.rm("recipes/soup.md")
    laptop.sync()
    phone.sync()
    for number, name in enumerate(HOSTILE_NAMES):
        phone.write(f"odd/{name.replace('/', '_')}", f"harmless {number}\n")
    disagree(phone, laptop, "notes/shopping.md", BASE.encode(), LAPTOP.encode(), PHONE_TEXT.encode())
    disagree(
        phone, laptop, "photos/garden.png", picture((90, 160, 90)), picture((60, 130, 190)), picture((200, 90, 80))
    )
    disagree(phone, laptop, "bin/keys.db", b"\0\1\2" * 30, b"\0\1\3" * 40, b"\0\2\2" * 50)
