"""Scenes with real disks, for a mount namespace of their own (tests/client/test_mounts.py): `SCENE FOLDER`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from client.live import Woken
from tests.client.direct import Server
from tests.client.test_watch import HARDLY, Client, watching
from tests.services import wait_until

FEW = [f"photos/{number}.jpg" for number in range(5)]


class Scene:
    """A folder with a disk at `photos`, under watch."""

    def __init__(self, work: Path, kind: str) -> None:
        self.work = work
        self.kind = kind
        self.vault = Server(work / "server")
        self.root = work / "laptop"
        self.photos = self.root / "photos"
        self.photos.mkdir(parents=True)
        (self.root / ".gobi").mkdir()
        (work / "disk").mkdir()
        self.said: list[str] = []

    def mount(self) -> None:
        source = [str(self.work / "disk"), "--bind"] if self.kind == "bind" else ["-t", "tmpfs", "none"]
        run("mount", *source, str(self.photos))

    def unmount(self) -> None:
        run("umount", "-l", str(self.photos))

    def client(self) -> Client:
        client = Client(self.root, self.vault, HARDLY)
        self.said = client.said
        return client

    def fill(self) -> None:
        for path in FEW:
            (self.root / path).write_text(path)
        (self.root / "note.md").write_text("note")

    def has_photos(self) -> bool:
        return self.vault.files().keys() >= set(FEW)


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def unmounted_while_it_is_watched(scene: Scene) -> None:
    scene.mount()
    with watching(scene.client()) as client:
        scene.fill()
        wait_until(lambda: scene.has_photos() and not client.watch.busy, "the photos")
        scene.unmount()
        wait_until(client_said(client, "refused: photos: the disk that was mounted here is not"), "it to notice")
        (scene.photos / "0.jpg").write_text("an old copy below the disk")
        (scene.root / ".gobiignore").write_text("*.tmp\n")
        (scene.root / "note.md").write_text("all goes on")
        scene.vault.put("photos/0.jpg", b"edited elsewhere")
        scene.vault.put("other.md", b"from elsewhere")
        wait_until(lambda: scene.vault.files().get("note.md") == b"all goes on", "the rest to go on")
        (scene.photos / "0.jpg").unlink()
        (scene.root / "last.md").write_text("last")
        wait_until(lambda: "last.md" in scene.vault.files() and not client.watch.busy, "the last word")
        assert scene.has_photos(), scene.vault.files()
        assert list(scene.photos.iterdir()) == []
    assert scene.vault.history("photos/1.jpg") == [b"photos/1.jpg"]


def mounted_again(scene: Scene) -> None:
    """A disk that keeps its files: it is another mount, and after a restart of the machine another device number."""
    scene.mount()
    with watching(scene.client()) as client:
        scene.fill()
        wait_until(lambda: scene.has_photos() and not client.watch.busy, "the photos")
        scene.unmount()
        wait_until(client_said(client, "refused: photos"), "it to notice")
        (scene.work / "disk" / "1.jpg").unlink()
        (scene.work / "disk" / "2.jpg").write_text("edited while it was not mounted here")
        scene.mount()
        edited = b"edited while it was not mounted here"
        wait_until(lambda: scene.vault.files()["photos/2.jpg"] == edited, "the edit")
        (scene.photos / "3.jpg").unlink()
        wait_until(lambda: "photos/3.jpg" not in scene.vault.files(), "a delete that was seen")
    assert scene.vault.history("photos/1.jpg") == [b"photos/1.jpg"]


def unmounted_between_two_syncs(scene: Scene) -> None:
    scene.mount()
    with watching(scene.client()) as client:
        scene.fill()
        wait_until(lambda: scene.has_photos() and not client.watch.busy, "the photos")
    scene.unmount()
    with watching(scene.client()) as client:
        wait_until(client_said(client, "refused: photos: the disk that was mounted here is not"), "it to say so")
        assert list(scene.photos.iterdir()) == [], "nothing is fetched into the empty folder"
        scene.mount()
        wait_until(lambda: (scene.photos / "1.jpg").exists() and not client.watch.busy, "the disk")
        (scene.photos / "1.jpg").write_text("again")
        wait_until(lambda: scene.vault.files()["photos/1.jpg"] == b"again", "all to go on")


def another_disk_over_the_files(scene: Scene) -> None:
    with watching(scene.client()) as client:
        scene.fill()
        wait_until(lambda: scene.has_photos() and not client.watch.busy, "the photos")
        (scene.work / "disk" / "strange.jpg").write_text("somebody else's")
        scene.mount()
        wait_until(client_said(client, "refused: photos: another disk is mounted here"), "it to notice")
        scene.unmount()
        (scene.photos / "1.jpg").write_text("again")
        wait_until(lambda: scene.vault.files()["photos/1.jpg"] == b"again", "all to go on")
    assert set(scene.vault.files()) == {*FEW, "note.md"}


def the_whole_folder_is_unmounted(scene: Scene) -> None:
    scene.photos.rmdir()
    scene.photos = scene.root
    (scene.root / ".gobi").rmdir()
    scene.mount()
    scene.photos = scene.root / "photos"
    scene.photos.mkdir()
    (scene.root / ".gobi").mkdir()
    with watching(scene.client()) as client:
        scene.fill()
        wait_until(lambda: scene.has_photos() and not client.watch.busy, "the photos")
        run("umount", "-l", str(scene.root))
        wait_until(lambda: client.error is not None, "it to stop")
        assert "its disk was unmounted" in str(client.error), client.error
    assert scene.has_photos()


def the_disk_is_full(scene: Scene) -> None:
    run("mount", "-t", "tmpfs", "-o", "size=4m", "none", str(scene.root))
    scene.photos.mkdir()
    (scene.root / ".gobi").mkdir()
    with watching(scene.client()) as client:
        scene.fill()
        wait_until(lambda: scene.has_photos() and not client.watch.busy, "the photos")
        filler = scene.root / "filler.tmp"
        (scene.root / ".gobiignore").write_text("*.tmp\n")
        wait_until(lambda: ".gobiignore" in scene.vault.files() and not client.watch.busy, "the patterns")
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(4096)):
                pass
        scene.vault.put("photos/0.jpg", b"edited elsewhere")
        (scene.root / "photos/1.jpg").unlink()
        (scene.root / "empty.md").touch()
        wait_until(client_said(client, "waiting: "), "it to say so")
        assert client.error is None
        filler.unlink()
        wait_until(client_said(client, "back: the disk"), "it to go on")
        wait_until(lambda: "photos/1.jpg" not in scene.vault.files(), "the delete")
        wait_until(lambda: "empty.md" in scene.vault.files(), "the new file")
        client.hear(Woken())
        wait_until(lambda: (scene.photos / "0.jpg").read_text() == "edited elsewhere", "what others did")
    assert sum("waiting: " in line for line in scene.said) == 1, scene.said


def client_said(client: Client, text: str) -> Callable[[], bool]:
    return lambda: any(text in line for line in list(client.said))


SCENES: dict[str, Callable[[Scene], None]] = {
    scene.__name__: scene
    for scene in (
        unmounted_while_it_is_watched,
        mounted_again,
        unmounted_between_two_syncs,
        another_disk_over_the_files,
        the_whole_folder_is_unmounted,
        the_disk_is_full,
    )
}

if __name__ == "__main__":
    name, kind, folder = sys.argv[1:]
    played = Scene(Path(folder), kind)
    try:
        SCENES[name](played)
    finally:
        sys.stderr.write("\n".join(played.said))
