"""Bundles say the same to gobi, to Python's tarfile and to GNU tar, and hostile ones are refused."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sync.bundle import (
    BLOCK,
    END,
    MAX_PAX,
    MAX_RECORDS,
    WHOLE_BODY,
    BundleError,
    BundleReader,
    BundleTooLarge,
    Entry,
    encoded_size,
    header,
    padding,
)

File = tuple[str, bytes, int]  # path, body, mtime in µs
Sketch = list[tuple[str, int, int]]  # the same with the body's size
SECOND = 1_000_000
MTIME = 1_700_000_000 * SECOND

AWKWARD_NAMES = [
    "a",
    "Daily notes/today is a day.md",
    "Bücher/日記/🌱.md",
    "line\nbreak.md",
    "a" * 99,
    "a" * 100,
    "a" * 101,
    "d" * 155 + "/" + "n" * 100,  # 256 bytes: the most that ustar holds
    "d" * 155 + "/" + "n" * 101,
    "d" * 156 + "/" + "n" * 100,
    "é" * 50,  # 100 bytes
    "é" * 127 + "/" + "é" * 50,
    "/".join(["ninety-nine bytes, of which every part is a short one"] * 18),
    "x" * 94 + "/y/z",
    "=" * 120 + " 12 path=evil",
]


def bundle(files: Iterable[File]) -> bytes:
    parts = [part for path, body, mtime in files for part in (header(path, len(body), mtime), body, padding(len(body)))]
    return b"".join(parts) + END


def unbundle(archive: bytes, chunk: int = 256 * 1024, max_entries: int = 1000, max_total: int = 1 << 30) -> list[File]:
    reader = BundleReader(max_entries=max_entries, max_total=max_total)
    files: list[File] = []
    pieces: list[bytes] = []
    for at in range(0, len(archive), chunk):
        for event in reader.feed(archive[at : at + chunk]):
            if isinstance(event, Entry):
                assert (event.body is None) == (event.size > WHOLE_BODY)
                files.append((event.path, event.body or b"", event.mtime_us))
                pieces = []
            else:
                pieces.append(event.data)
                assert event.data
                if event.last:
                    path, _, mtime = files[-1]
                    files[-1] = (path, b"".join(pieces), mtime)
    reader.close()
    return files


def refused(archive: bytes, **limits: int) -> str:
    with pytest.raises(BundleError) as caught:
        unbundle(archive, **limits)
    return str(caught.value)


def raw_block(
    name: bytes = b"a.md",
    size: bytes = b"00000000000\0",
    kind: bytes = b"0",
    mtime: bytes = b"00000000000\0",
    magic: bytes = b"ustar\00000",
    prefix: bytes = b"",
) -> bytes:
    """A header block with whatever in its fields and a correct checksum."""
    block = name.ljust(100, b"\0") + b"0000644\0" * 3 + size + mtime + b" " * 8 + kind + bytes(100) + magic
    block = (block + bytes(80) + prefix).ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def pax(*records: bytes) -> bytes:
    """A pax header of records that are given without their lengths."""
    body = b""
    for record in records:
        length = len(record) + 3
        while len(str(length)) + len(record) + 2 != length:
            length += 1
        body += b"%d %s\n" % (length, record)
    return raw_pax(body)


def raw_pax(body: bytes) -> bytes:
    return raw_block(b"PaxHeader", b"%011o\0" % len(body), b"x") + body + padding(len(body))


# ------------------------------------------------------------------------------------------------- our own round trip

parts = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60)
paths = st.one_of(
    st.sampled_from(AWKWARD_NAMES),
    st.lists(parts, min_size=1, max_size=6).map("/".join),
    st.integers(90, 270).map(lambda n: ("abcdefghi/" * 27)[:n].rstrip("/")),
)
sizes = st.one_of(
    st.integers(0, 2000),
    st.sampled_from([0, 1, 511, 512, 513, WHOLE_BODY - 1, WHOLE_BODY, WHOLE_BODY + 1, 3 * WHOLE_BODY]),
)
mtimes = st.one_of(
    st.integers(0, 4_000_000_000).map(lambda s: s * SECOND),
    st.integers(-(2**62), 2**62),
    st.sampled_from([-(2**63), 2**63 - 1]),
)
sketches = st.lists(st.tuples(paths, sizes, mtimes), max_size=5)
awkward = [(name, n * 100, MTIME) for n, name in enumerate(AWKWARD_NAMES)]
chunks = st.one_of(st.integers(100, 2000), st.sampled_from([BLOCK, 65536, 262144, 1 << 20]))


def drawn(sketch: Sketch) -> list[File]:
    """The files of a sketch, which names only the sizes so that hypothesis can print it."""
    return [(path, (b"%d bytes of a note. " % size * (size // 10 + 1))[:size], mtime) for path, size, mtime in sketch]


def as_written(file: File) -> File:
    """What comes back: without a pax header only whole seconds."""
    path, body, mtime = file
    plain = len(header(path, len(body), mtime)) == BLOCK
    return (path, body, mtime // SECOND * SECOND) if plain else file


@given(sketches, chunks)
@example(awkward, 1)
def test_what_is_bundled_comes_out_again_however_it_is_cut_into_chunks(sketch: Sketch, chunk: int) -> None:
    files = drawn(sketch)
    assert unbundle(bundle(files), chunk) == [as_written(file) for file in files]


@given(sketches)
def test_the_size_of_a_bundle_is_known_before_it_is_written(sketch: Sketch) -> None:
    files = drawn(sketch)
    announced = sum(encoded_size(path, len(body), mtime) for path, body, mtime in files) + len(END)
    assert announced == len(bundle(files))


@pytest.mark.parametrize(
    ("path", "blocks"),
    [("a" * 100, 1), ("a" * 101, 3), ("d" * 155 + "/" + "n" * 100, 1), ("d" * 155 + "/" + "n" * 101, 3), ("é", 3)],
)
def test_only_a_name_that_ustar_cannot_hold_costs_a_pax_header(path: str, blocks: int) -> None:
    assert len(header(path, 10, MTIME + 123_456)) == blocks * BLOCK


def test_a_file_of_eight_gibibytes_has_its_size_in_a_pax_header() -> None:
    size = 8 * 1024**3
    reader = BundleReader(max_entries=1, max_total=size * 2)
    assert reader.feed(header("big.bin", size - 1, MTIME)) == [Entry("big.bin", size - 1, MTIME, None)]
    reader = BundleReader(max_entries=1, max_total=size * 2)
    assert reader.feed(header("big.bin", size, MTIME)) == [Entry("big.bin", size, MTIME, None)]
    assert encoded_size("big.bin", size, MTIME) == 3 * BLOCK + size


def test_an_unknown_mtime_is_written_as_zero() -> None:
    assert unbundle(header("a.md", 0, None) + header("ü.md", 0, None) + END) == [("a.md", b"", 0), ("ü.md", b"", 0)]


def test_a_small_body_comes_with_its_entry_even_when_fed_byte_by_byte() -> None:
    events = []
    reader = BundleReader(max_entries=1, max_total=10_000)
    for byte in bundle([("a.md", b"hello", MTIME)]):
        events += reader.feed(bytes([byte]))
    assert events == [Entry("a.md", 5, MTIME, b"hello")]


def test_an_empty_bundle_is_a_bundle() -> None:
    assert unbundle(END) == []


# ------------------------------------------------------------------------------------------------------- tarfile


@given(sketches)
@example(awkward)
def test_tarfile_reads_what_gobi_writes(sketch: Sketch) -> None:
    files = drawn(sketch)
    with tarfile.open(fileobj=io.BytesIO(bundle(files))) as archive:
        members = archive.getmembers()
        assert [member.name for member in members] == [path.rstrip("/") for path, _, _ in files]
        for member, (_, body, mtime) in zip(members, files, strict=True):
            assert member.isreg()
            assert (member.mode, member.uid, member.gid) == (0o644, 0, 0)
            assert abs(member.mtime - mtime / SECOND) < 1
            opened = archive.extractfile(member)
            assert opened is not None
            assert opened.read() == body


def with_tarfile(files: Iterable[File], form: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for path, body, mtime in files:
            member = tarfile.TarInfo(path)
            member.size, member.mtime, member.uname = len(body), mtime // SECOND, "someone"
            archive.addfile(member, io.BytesIO(body))
    return out.getvalue()


@given(sketches, chunks)
@example(awkward, 700)
def test_gobi_reads_what_tarfile_writes_as_pax(sketch: Sketch, chunk: int) -> None:
    expected = [(path, body, mtime // SECOND * SECOND) for path, body, mtime in drawn(sketch)]
    assert unbundle(with_tarfile(expected, tarfile.PAX_FORMAT), chunk) == expected


def test_gobi_reads_what_tarfile_writes_as_ustar() -> None:
    files = [(name, b"x" * 700, MTIME) for name in AWKWARD_NAMES if name.isascii() and len(header(name, 0, 0)) == BLOCK]
    assert len(files) > 5
    assert unbundle(with_tarfile(files, tarfile.USTAR_FORMAT), 333) == files


# -------------------------------------------------------------------------------------------------------- GNU tar

gnu_tar = pytest.mark.skipif(shutil.which("tar") is None, reason="no tar on this machine")
ON_DISK = [name for name in AWKWARD_NAMES if all(len(part.encode()) <= 255 for part in name.split("/"))]


def tar(*arguments: str | Path, feed: bytes = b"") -> bytes:
    return subprocess.run(["tar", *map(str, arguments)], input=feed, capture_output=True, check=True).stdout


@gnu_tar
def test_gnu_tar_lists_and_extracts_what_gobi_writes(tmp_path: Path) -> None:
    files = [(name, bytes([n]) * (n * 1000), MTIME + n * 1_500_000) for n, name in enumerate(ON_DISK)]
    archive = bundle(files)
    assert len(tar("-tvf", "-", feed=archive).splitlines()) == len(files)
    tar("-xf", "-", "-C", tmp_path, feed=archive)
    for name, body, mtime in map(as_written, files):
        assert (tmp_path / name).read_bytes() == body
        assert (tmp_path / name).stat().st_mtime_ns // 1000 == mtime
    assert sum(1 for place in tmp_path.rglob("*") if place.is_file()) == len(files)


@gnu_tar
@pytest.mark.parametrize("form", ["pax", "ustar", "gnu"])
def test_gobi_reads_what_gnu_tar_writes(tmp_path: Path, form: str) -> None:
    names = [name for name in ON_DISK if form == "pax" or len(name.encode()) <= 100]
    for n, name in enumerate(names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes([n]) * (n * 10_000))
    archive = tar("-cf", "-", f"--format={form}", "-C", tmp_path, "--", *names)
    precise = form == "pax"
    read = unbundle(archive, 5000)
    assert [(path, body) for path, body, _ in read] == [(name, (tmp_path / name).read_bytes()) for name in names]
    for name, _, mtime in read:
        micros = (tmp_path / name).stat().st_mtime_ns // 1000
        assert mtime == (micros if precise else micros // SECOND * SECOND)


# --------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.CHRTYPE, "a character device"),
        (tarfile.BLKTYPE, "a block device"),
        (tarfile.DIRTYPE, "a folder"),
        (tarfile.FIFOTYPE, "a FIFO"),
        (tarfile.CONTTYPE, "type b'7'"),
        (tarfile.GNUTYPE_LONGNAME, "--format=pax"),
        (tarfile.GNUTYPE_LONGLINK, "--format=pax"),
        (tarfile.GNUTYPE_SPARSE, "a sparse file"),
        (tarfile.XGLTYPE, "a global pax header"),
        (tarfile.SOLARIS_XHDTYPE, "type b'X'"),
    ],
)
def test_everything_but_a_regular_file_is_refused_by_name(kind: bytes, words: str) -> None:
    said = refused(raw_block(b"evil", kind=kind) + END)
    assert words in said
    assert "'evil'" in said


@gnu_tar
def test_a_long_name_in_gnus_format_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / ("n" * 200)).write_bytes(b"x")
    assert "--format=pax" in refused(tar("-cf", "-", "--format=gnu", "-C", tmp_path, "n" * 200))


@gnu_tar
@pytest.mark.parametrize("form", ["gnu", "pax"])
def test_a_sparse_file_is_refused(tmp_path: Path, form: str) -> None:
    with open(tmp_path / "holes", "wb") as holes:
        holes.truncate(1 << 20)
        holes.seek(1 << 19)
        holes.write(b"x")
    assert "sparse" in refused(tar("-cSf", "-", f"--format={form}", "-C", tmp_path, "holes"))


def test_a_folder_of_the_old_format_is_refused() -> None:
    assert "is a folder" in refused(raw_block(b"folder/", kind=b"\0") + END)


@pytest.mark.parametrize("at", [0, 50, 124, 148, 156, 257, 345, 511])
def test_one_changed_byte_in_a_header_is_noticed(at: int) -> None:
    archive = bytearray(bundle([("a.md", b"hello", MTIME)]))
    archive[at] ^= 1
    assert "checksum" in refused(bytes(archive))


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (b"\x80" + bytes(3) + b"\x7f" * 8, "binary form"),  # GNU's base-256, huge
        (b"\xff" * 12, "binary form"),  # and negative
        (b"-0000000001\0", "octal"),
        (b"+0000000001\0", "octal"),
        (b"0000000009_\0", "octal"),
        (b"00000000_11\0", "octal"),
        (b"00000000008\0", "octal"),
        (b"0o000000011\0", "octal"),
        (b"0000\x00000011\0", "octal"),
        (bytes(12), "octal"),
        (b" " * 12, "octal"),
        ("٣".encode() * 6, "octal|binary"),  # digits, but not ASCII's
    ],
)
def test_a_size_or_mtime_that_is_no_octal_number_is_refused(field: bytes, words: str) -> None:
    for block in (raw_block(size=field), raw_block(mtime=field)):
        said = refused(block + END)
        assert any(word in said for word in words.split("|"))


def test_an_archive_cut_off_anywhere_is_refused() -> None:
    archive = bundle([("a.md", b"x" * 600, MTIME), ("ü.md", b"", MTIME), ("long", bytes(WHOLE_BODY + 1), MTIME)])
    assert len(unbundle(archive)) == 3
    steps = {*range(0, 4000, 7), *range(len(archive) - 2600, len(archive))}
    for cut in sorted(steps):
        assert "cut off" in refused(archive[:cut]), cut


def test_a_body_shorter_or_longer_than_announced_is_refused() -> None:
    body = b"x" * 5000
    short = header("a.md", len(body) + BLOCK * 3, MTIME) + body + padding(len(body)) + END
    assert "cut off" in refused(short)
    long = header("a.md", len(body) - BLOCK, MTIME) + body + padding(len(body)) + END
    assert "checksum" in refused(long)


@pytest.mark.parametrize("archive", [b"", b"PK\3\4" + bytes(2000), b"\x1f\x8b" + bytes(600), b"{}" * 600])
def test_what_is_no_tar_archive_is_refused(archive: bytes) -> None:
    refused(archive)


@pytest.mark.parametrize("magic", [bytes(8), b"ustar\00001", b"USTAR\00000"])
def test_a_format_before_ustar_is_refused(magic: bytes) -> None:
    assert "--format=pax" in refused(raw_block(magic=magic) + END)


def test_a_prefix_in_gnus_format_is_not_taken_for_a_folder() -> None:
    assert "--format=pax" in refused(raw_block(magic=b"ustar  \0", prefix=b"14371234567\0") + END)


def test_a_name_that_is_not_utf8_is_refused() -> None:
    assert "not UTF-8" in refused(raw_block(b"caf\xe9.md") + END)
    assert "not UTF-8" in refused(pax(b"path=caf\xe9.md") + raw_block() + END)
    assert "not UTF-8" in refused(pax(b"path=\xed\xa0\x80") + raw_block() + END)  # a lone surrogate


def test_a_name_with_a_nul_or_none_at_all_is_refused() -> None:
    assert "NUL" in refused(pax(b"path=good.md\0/../evil") + raw_block() + END)
    assert "no name" in refused(pax(b"path=") + raw_block() + END)
    assert "no name" in refused(raw_block(b"") + END)


@pytest.mark.parametrize(
    "body",
    [
        b"garbage\n",
        b"8 a=bcd",  # shorter than it says
        b"99 path=a\n",
        b"7 path=a\n",
        b"0 path=a\n",
        b"-9 path=a\n",
        b"10  path=a\n"[:9],
        b"10 nothing\n"[:10],
        b"3 \n",
        b"2 ",
        b"9999999999999999999999 path=a\n",
    ],
)
def test_a_damaged_pax_header_is_refused(body: bytes) -> None:
    assert "pax header is damaged" in refused(raw_pax(body) + raw_block() + END)


def test_a_pax_size_that_contradicts_the_header_is_refused() -> None:
    ten = raw_block(size=b"%011o\0" % 10)
    assert "two sizes" in refused(pax(b"size=0") + ten + b"x" * 10 + padding(10) + END)
    assert "two sizes" in refused(pax(b"size=1024") + ten + b"x" * 10 + padding(10) + END)
    assert unbundle(pax(b"size=10") + ten + b"x" * 10 + padding(10) + END) == [("a.md", b"x" * 10, 0)]


@pytest.mark.parametrize("size", [b"", b"-1", b"1e3", b"0x10", b"1_0", b" 1", b"9" * 19, b"9" * 5000, "٣".encode()])
def test_a_pax_size_that_is_no_number_is_refused(size: bytes) -> None:
    assert "not a number" in refused(pax(b"size=" + size) + raw_block() + END)


@pytest.mark.parametrize("mtime", [b"", b"now", b"1.5.5", b"1e9", b"inf", b"nan", b"--1", b"9" * 14, b".5"])
def test_a_pax_mtime_that_is_no_time_is_refused(mtime: bytes) -> None:
    assert "not a time" in refused(pax(b"mtime=" + mtime) + raw_block() + END)


@pytest.mark.parametrize(
    ("text", "micros"), [(b"12", 12_000_000), (b"12.", 12_000_000), (b"12.1234567899", 12_123_456), (b"-0.5", -500_000)]
)
def test_a_pax_mtime_is_read_to_the_microsecond(text: bytes, micros: int) -> None:
    assert unbundle(pax(b"mtime=" + text) + raw_block() + END) == [("a.md", b"", micros)]


def test_a_pax_header_is_for_one_file_only() -> None:
    archive = pax(b"path=first") + raw_block(b"1") + raw_block(b"2") + END
    assert [path for path, _, _ in unbundle(archive)] == ["first", "2"]


def test_of_two_records_for_one_key_the_last_counts() -> None:
    assert unbundle(pax(b"path=a", b"path=b", b"comment=c=d") + raw_block() + END)[0][0] == "b"


def test_pax_headers_without_end_are_refused() -> None:
    assert "two pax headers" in refused(pax(b"path=a") * 2 + raw_block() + END)
    assert "longer than" in refused(pax(b"comment=" + b"x" * MAX_PAX) + raw_block() + END)
    assert "records" in refused(pax(*[b"a="] * (MAX_RECORDS + 1)) + raw_block() + END)
    assert "pax header announced" in refused(pax(b"path=a") + END)


def test_a_lone_block_of_zeros_and_anything_after_the_end_are_refused() -> None:
    assert "middle" in refused(bytes(BLOCK) + raw_block() + END)
    assert "follows" in refused(END + raw_block())
    assert unbundle(END + bytes(10_000)) == []


def test_zeros_after_the_end_count_too() -> None:
    reader = BundleReader(max_entries=1, max_total=5000)
    reader.feed(END + bytes(3000))
    with pytest.raises(BundleTooLarge, match="5000 bytes"):
        reader.feed(bytes(3000))


def test_bytes_that_wait_for_the_rest_of_their_header_count_too() -> None:
    reader = BundleReader(max_entries=1, max_total=600)
    assert reader.feed(bytes(500)) == []
    with pytest.raises(BundleTooLarge, match="600 bytes"):
        reader.feed(bytes(200))


def test_a_body_over_the_limit_is_refused_when_it_is_announced() -> None:
    reader = BundleReader(max_entries=1, max_total=1_000_000)
    with pytest.raises(BundleTooLarge, match="1000000 bytes"):
        reader.feed(header("a.md", 1_000_000, MTIME))


def test_a_million_tiny_files_end_at_the_limit() -> None:
    reader = BundleReader(max_entries=1000, max_total=1 << 30)
    fed = 0

    def read_all() -> None:
        nonlocal fed
        for n in range(1_000_000):
            reader.feed(header(f"{n}", 0, 0))
            fed += 1

    with pytest.raises(BundleTooLarge, match="1000 files"):
        read_all()
    assert fed == 1000


@given(st.binary(max_size=3000), st.integers(0, 4096), chunks)
def test_damage_is_refused_or_harmless_and_never_an_accident(noise: bytes, at: int, chunk: int) -> None:
    archive = bundle([("a.md", b"x" * 600, MTIME), ("ü.md", b"y" * 100, MTIME)])
    damaged = archive[:at] + noise + archive[at + len(noise) :]
    with suppress(BundleError):
        unbundle(damaged, chunk)
