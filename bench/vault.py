"""Vaults to measure with: the same seed and numbers give the same names, bytes and mtimes on every machine.

Notes are Markdown of log-normal size (median 2 KB, mean 3.3 KB, at most 256 KB) from words drawn as a language draws
them, so that they compress about as prose does. Folders are nested; names have spaces and other alphabets. Attachments
are random bytes, 50 KB to 2 MB.

    python -m bench.vault DIR --notes 970 --attachments 30
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
from pathlib import Path

MIB = 1024 * 1024
SYLLABLES = "ka lo mi ter son re va du pen ist or al en ta ri mo cu be sha ni gra tol fer us im ed an ol qui zen"
ALPHABETS = ["café", "naïve", "Übersicht", "日本語", "заметка", "año", "中文", "smörgås", "ελλάδα", "🌱"]
TOP_FOLDERS = ["Daily notes", "Projects", "Areas", "Archive", "People & places", "Bücher", "日記", "Réunions", "Inbox"]
FIRST_MTIME = 1_600_000_000  # seconds since 1970; every file gets a sub-second part too, as real ones have


class Words:
    """Words of a made-up language, the first ones far more often than the last ones (Zipf's law)."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        syllables = SYLLABLES.split()
        made = {"".join(rng.choices(syllables, k=rng.choice((1, 2, 2, 3, 3, 4)))) for _ in range(5000)}
        self._words = sorted(made)  # a set's own order differs from run to run
        rng.shuffle(self._words)
        self._words[50 : 50 + len(ALPHABETS)] = ALPHABETS
        self._weights = list(itertools.accumulate(1 / (rank + 2.7) for rank in range(len(self._words))))

    def draw(self, count: int) -> str:
        return " ".join(self._rng.choices(self._words, cum_weights=self._weights, k=count))

    def note(self, size: int) -> bytes:
        """Exactly `size` bytes of Markdown."""
        parts, have = [f"# {self.draw(3).title()}\n\n".encode()], 0
        while have < size:
            opening = self._rng.choice(("", "", "", "## ", "- [ ] ", "> "))
            parts.append(f"{opening}{self.draw(self._rng.randint(6, 60)).capitalize()}.\n\n".encode())
            have += len(parts[-1])
        text = b"".join(parts)[:size].decode("utf-8", "ignore").encode()  # not in the middle of a character
        return text.ljust(size, b"\n")


def make_vault(place: Path, notes: int, attachments: int = 0, seed: int = 1) -> None:
    """Writes a vault of that many files into `place`, which must not exist."""
    rng = random.Random(f"gobi-{seed}-{notes}-{attachments}")
    words = Words(rng)
    folders = list(TOP_FOLDERS)
    for _ in range(max(20, notes // 40)):
        parent = rng.choice(folders)
        folders.append(f"{parent if parent.count('/') < 4 else TOP_FOLDERS[0]}/{words.draw(rng.randint(1, 3)).title()}")
    taken: set[str] = set()

    def write(suffix: str, body: bytes) -> None:
        stem = f"{rng.choice(folders)}/{words.draw(rng.randint(1, 5)).capitalize()}"
        name = next(n for n in itertools.chain([stem], (f"{stem} {i}" for i in itertools.count(2))) if n not in taken)
        taken.add(name)
        path = place / (name + suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        mtime = (FIRST_MTIME + rng.randint(0, 10**8)) * 10**9 + rng.randrange(10**9)
        os.utime(path, ns=(mtime, mtime))

    place.mkdir(parents=True)
    for _ in range(notes):
        write(".md", words.note(min(256_000, int(rng.lognormvariate(7.6246, 1.0)))))  # e^7.6246 is 2,048
    for _ in range(attachments):
        write(rng.choice((".png", ".pdf", ".webp")), rng.randbytes(int(50_000 + 1_950_000 * rng.random())))


def make_big(place: Path, mebibytes: int, seed: int = 1) -> None:
    """Writes one file of random bytes into `place`, which must not exist."""
    rng = random.Random(f"gobi-big-{seed}-{mebibytes}")
    place.mkdir(parents=True)
    with open(place / "big attachment.bin", "wb") as out:
        for _ in range(mebibytes):
            out.write(rng.randbytes(MIB))


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a vault of made-up notes.")
    parser.add_argument("place", type=Path)
    parser.add_argument("--notes", type=int, default=10_000)
    parser.add_argument("--attachments", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    make_vault(given.place, given.notes, given.attachments, given.seed)


if __name__ == "__main__":
    main()
