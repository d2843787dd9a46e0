"""A whole Debian machine to install gobi on: systemd as process 1, and no network.

It runs as a container of systemd-nspawn, which takes a second to start, or, with BOOT=qemu, under a kernel of its own
in an emulated processor, which takes minutes. Nothing on this machine is touched but `WORK`, in which file systems are
kept for the next time. Making one takes root, debootstrap and Debian's archive.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

WORK = Path(os.environ.get("DIST_WORK", "/tmp/gobi-dist"))  # large, and wanted again
KIND = os.environ.get("BOOT", "nspawn")
PACKAGES = "systemd,systemd-sysv,libpam-systemd,dbus,udev,python3,linux-image-cloud-amd64,initramfs-tools"
# For all of it; an emulated processor is slow.
PATIENCE_S = 1_200

_UNIT = """\
[Service]
Type=simple
Environment=PYTHONUNBUFFERED=1
ExecStartPre=-/bin/sh -c '[ ! -e /dev/vdb ] || { mkdir /run/payload && tar -xf /dev/vdb -C /run/payload; }'
ExecStart=/usr/bin/python3 /run/payload/guest.py
ExecStopPost=systemctl poweroff
[Install]
WantedBy=multi-user.target
"""
_TOOLS = {
    "nspawn": {"debootstrap": "debootstrap", "systemd-nspawn": "systemd-container"},
    "qemu": {"debootstrap": "debootstrap", "qemu-system-x86_64": "qemu-system-x86", "mke2fs": "e2fsprogs"},
}


def missing() -> str | None:
    """What this machine lacks to run one, in words."""
    if os.geteuid() != 0:
        return "making a machine takes root"
    for program, package in _TOOLS[KIND].items():
        if shutil.which(program) is None:
            return f"there is no {program} here: apt install {package}"
    return None


def cannot_run(architecture: str) -> str | None:
    """Why this kernel does not run programs for a Debian architecture, in words."""
    names = {"arm64": "qemu-aarch64"}
    if os.uname().machine == "aarch64" or Path("/proc/sys/fs/binfmt_misc", names[architecture]).exists():
        return None
    return (
        f"this kernel runs no programs for {architecture}: apt install qemu-user-static, and where no systemd runs: "
        "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc; "
        f"cat /usr/lib/binfmt.d/{names[architecture]}.conf > /proc/sys/fs/binfmt_misc/register"
    )


def root(suite: str, architecture: str = "amd64", include: str = PACKAGES) -> Path:
    """A Debian's files. Made once."""
    folder = WORK / f"{suite}-{architecture}"
    stamp = WORK / f"{suite}-{architecture}.complete"
    if not stamp.exists():
        shutil.rmtree(folder, ignore_errors=True)
        WORK.mkdir(parents=True, exist_ok=True)
        command = ["debootstrap", "--variant=minbase", f"--arch={architecture}", f"--include={include}"]
        if architecture == "amd64":
            subprocess.run([*command, suite, str(folder)], check=True, stdout=subprocess.DEVNULL)
            _install_unit(folder)
        else:
            # Not set up, which would take an emulated processor half an hour: its programs run as they are.
            subprocess.run([*command, "--foreign", suite, str(folder)], check=True, stdout=subprocess.DEVNULL)
            for package in sorted((folder / "var/cache/apt/archives").glob("*.deb")):
                subprocess.run(["dpkg-deb", "--extract", str(package), str(folder)], check=True)
        stamp.touch()
    return folder


def boot(suite: str, payload: list[Path]) -> Iterator[str]:
    """The lines that guest.py writes, as they come. `payload`: files that lie beside it there."""
    command = (_container if KIND == "nspawn" else _emulated)(suite, payload)
    machine = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert machine.stdout is not None
    overdue = threading.Timer(PATIENCE_S, machine.kill)
    overdue.start()
    try:
        yield from (line.strip() for line in machine.stdout)
    finally:
        overdue.cancel()
        machine.kill()
        machine.stdout.close()
        machine.wait()


def _container(suite: str, payload: list[Path]) -> list[str]:
    """What it writes is in memory, and gone with it."""
    folder = WORK / f"{suite}-payload"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for file in payload:
        shutil.copy(file, folder)
    return [
        *("systemd-nspawn", "--quiet", "--boot", f"--directory={root(suite)}", "--volatile=overlay"),
        *("--private-network", "--register=no", "--keep-unit", f"--machine=gobi-{suite}"),
        f"--bind-ro={folder}:/run/payload",
    ]


def _emulated(suite: str, payload: list[Path]) -> list[str]:
    files = root(suite)
    disk, second = WORK / f"{suite}.img", WORK / f"{suite}-payload.tar"
    if not disk.exists():
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(files), str(disk), "3G"], check=True)
    with tarfile.open(second, "w") as tar:
        for file in payload:
            tar.add(file, file.name)
    (kernel,) = (files / "boot").glob("vmlinuz-*")
    (initrd,) = (files / "boot").glob("initrd.img-*")
    return [
        *("qemu-system-x86_64", "-m", "1024", "-smp", "2", "-nographic", "-nic", "none", "-no-reboot", "-snapshot"),
        *("-accel", "tcg,thread=multi", "-cpu", "max"),  # not KVM, which inside a virtual machine may hang
        *("-kernel", str(kernel), "-initrd", str(initrd)),
        *("-append", "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=no"),
        *("-drive", f"file={disk},if=virtio,format=raw", "-drive", f"file={second},if=virtio,format=raw"),
    ]


def _install_unit(files: Path) -> None:
    name = "guest.service"
    (files / "etc/systemd/system" / name).write_text(_UNIT)
    wanted = files / "etc/systemd/system/multi-user.target.wants" / name
    wanted.symlink_to(f"../{name}")
