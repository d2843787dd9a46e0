"""What a path, a name and a device may be (docs/protocol.md, section 1)."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.paths import BadPath, ancestors, check_path, conflict_name, is_device, is_name

GOOD = [
    "a",
    "notes/today is a day.md",
    "Bücher/日記/🌱.md",
    "...",
    "a/.gobi/b",
    ".gobiignore",
    ".git/config",
    " leading and trailing ",
    "CON",
    "a:b*?",
    "~/x",
    "é" * 127,
    "/".join(["x" * 255] * 4),  # 1,023 bytes
    "x" * 254 + "/" + "/".join(["y" * 255] * 3) + "/z",  # 1,024 bytes
]

BAD = {
    "": "empty",
    "/": "empty part",
    "/etc/passwd": "empty part",
    "a/": "empty part",
    "a//b": "empty part",
    ".": "'.' or '..'",
    "a/./b": "'.' or '..'",
    "../a": "'.' or '..'",
    "a/..": "'.' or '..'",
    "a\\b": "backslash",
    "C:\\a": "backslash",
    "a\x00b": "control",
    "line\nbreak": "control",
    "a\x7f": "control",
    "a\x85b": "control",
    "\x9f": "control",
    "\ud800": "UTF-8",
    "a/\udcff.md": "UTF-8",
    "e\u0301": "NFC",
    "\u212b": "NFC",  # the Ångström sign, of which NFC makes a letter
    "x" * 256: "255 bytes",
    "é" * 128: "255 bytes",
    "a/" + "🌱" * 64: "255 bytes",
    "/".join(["x" * 255] * 4) + "/y": "1024 bytes",
    "🌱/" * 205 + "x": "1024 bytes",
    ".gobi": "gobi's own",
    ".gobi/queue.jsonl": "gobi's own",
    ".GOBI/x": "gobi's own",
    ".gObI": "gobi's own",
}


@pytest.mark.parametrize("path", GOOD)
def test_a_good_path_is_taken_as_it_is(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize("path", BAD, ids=lambda path: ascii(path)[:40])
def test_a_bad_path_is_refused_with_the_rule_it_breaks(path: str) -> None:
    with pytest.raises(BadPath, match=BAD[path]):
        check_path(path)


parts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
anything = st.one_of(st.text(max_size=60), st.lists(parts, min_size=1, max_size=12).map("/".join))


@given(anything)
@settings(deadline=None)
def test_what_is_accepted_is_what_the_protocol_describes(path: str) -> None:
    """The rules once more, in the protocol's words."""
    try:
        check_path(path)
        accepted = True
    except BadPath:
        accepted = False
    pieces = path.split("/")
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        assert not accepted
        return
    assert accepted == (
        len(encoded) <= 1024
        and unicodedata.is_normalized("NFC", path)
        and all(1 <= len(piece.encode()) <= 255 and piece not in (".", "..") for piece in pieces)
        and not any(unicodedata.category(letter) == "Cc" or letter == "\\" for letter in path)
        and pieces[0].lower() != ".gobi"
    )


def test_names_of_vaults_and_people() -> None:
    for good in ("a", "0", "notes", "a.b-c_d", "9" * 64):
        assert is_name(good), good
    for bad in ("", "A", "-a", ".a", "_a", "a b", "é", "a/b", "a" * 65, "a\n", "notes\x00"):
        assert not is_name(bad), bad


def test_names_of_devices() -> None:
    for good in ("laptop", "My phone (old)", "~", " ", "x" * 64):
        assert is_device(good), good
    for bad in ("", "x" * 65, "Büro", "a\tb", "a\n", "\x7f"):
        assert not is_device(bad), bad


def test_the_folders_above_a_path() -> None:
    assert ancestors("a/b/c") == ["a", "a/b"]
    assert ancestors("a") == []


@pytest.mark.parametrize(
    ("path", "number", "name"),
    [
        ("notes/today.md", 1, "notes/today (conflict laptop 2026-01-31).md"),
        ("notes/today.md", 2, "notes/today (conflict laptop 2026-01-31 2).md"),
        ("README", 1, "README (conflict laptop 2026-01-31)"),
        (".bashrc", 1, ".bashrc (conflict laptop 2026-01-31)"),
        ("a.tar.gz", 1, "a.tar (conflict laptop 2026-01-31).gz"),
        ("v1.0/x", 1, "v1.0/x (conflict laptop 2026-01-31)"),
    ],
)
def test_the_second_copy_is_named_for_the_device_and_the_day(path: str, number: int, name: str) -> None:
    assert conflict_name(path, "laptop", "2026-01-31", number) == name


@pytest.mark.parametrize(
    ("device", "safe"),
    [("a/b\\c:d", "a-b-c-d"), ("..", "device"), (" x. ", "x"), ("phone (old)", "phone -old-"), ("?", "-")],
)
def test_a_devices_name_is_made_safe_for_every_file_system(device: str, safe: str) -> None:
    assert conflict_name("a.md", device, "2026-01-31") == f"a (conflict {safe} 2026-01-31).md"


@st.composite
def good_paths(draw: st.DrawFn) -> str:
    """Valid paths, many of them at the limits."""
    letters = draw(st.sampled_from(("x", "é", "🌱", ".", "x.")))
    sizes = draw(st.lists(st.one_of(st.integers(1, 20), st.sampled_from((250, 255))), min_size=1, max_size=60))
    path = ""
    for size in sizes:
        part = (letters * size).encode()[:size].decode(errors="ignore")
        longer = f"{path}/{part}" if path else part
        if part and part not in (".", "..") and len(longer.encode()) <= 1024:
            path = longer
    return path or "x"


@given(
    good_paths(),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=64),
    st.integers(1, 99),
)
@settings(deadline=None, max_examples=150)
def test_the_second_copys_name_is_a_valid_path_however_long_the_first_is(path: str, device: str, number: int) -> None:
    check_path(path)
    name = conflict_name(path, device, "2026-01-31", number)
    assert check_path(name) != path
    assert name != conflict_name(path, device, "2026-01-31", number + 1)
    folder, above = path.rpartition("/")[0], name.rpartition("/")[0]
    assert above == folder or folder.startswith(above + "/") or not above


def test_whatever_the_length_of_the_folder_the_second_copys_name_fits() -> None:
    """Also where not one byte more would."""
    for length in range(950, 1022):
        folder = "/".join(["d" * 203] * 5)[: length - 2] + "/e"
        name = conflict_name(f"{folder}/f", "laptop", "2026-01-31")
        assert check_path(name).endswith("(conflict laptop 2026-01-31)")


def test_in_the_deepest_folder_the_second_copy_goes_higher_up() -> None:
    path = "/".join(["d" * 203] * 5) + "/file"  # 1,024 bytes
    name = conflict_name(path, "laptop", "2026-01-31")
    assert name == "/".join(["d" * 203] * 4) + "/file (conflict laptop 2026-01-31)"
