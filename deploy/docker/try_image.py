"""The image, built by a builder that needs no daemon: `cargo xtask package --image` and `cargo xtask test --only packages`.

try_image.py CONTEXT ARCHITECTURE STORAGE [ARCHIVE], where CONTEXT is what the Dockerfile takes its files from. An image
that becomes an ARCHIVE (`docker load`) has the static binary, and is run, too, if it is for this machine.
"""

import json
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

DOCKERFILE = Path(__file__).with_name("Dockerfile")
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
# Folders that a builder makes for itself.
MOUNT_POINTS = {"dev", "etc", "proc", "run", "sys"}
NOBODYS_ROOT = 10001
PATIENCE_S = 60


class Builder:
    def __init__(self, storage: str) -> None:
        # No name space and no overlay: neither is everywhere, as in a container.
        self.program = ["buildah", "--storage-driver", "vfs", "--root", f"{storage}/images", "--runroot", f"{storage}/run"]

    def said(self, *arguments: str) -> str:
        return subprocess.run([*self.program, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def running(self, container: str, *arguments: str, **how) -> subprocess.Popen:
        return subprocess.Popen([*self.program, "run", "--isolation", "chroot", *arguments[:-1], container, "--", "/tetherline", *arguments[-1].split()], text=True, **how)


def main(context: str, architecture: str, storage: str, archive: str | None = None) -> None:
    builder = Builder(storage)
    try:
        which = ["--arch", architecture, "--build-arg", f"TARGETARCH={architecture}"]
        # OCI's format has no health check.
        builder.said("bud", "--quiet", "--isolation", "chroot", "--format", "docker", *which, "--file", str(DOCKERFILE), "--tag", "tetherline", context)
        is_described(json.loads(builder.said("inspect", "--type", "image", "tetherline"))["Docker"], architecture)
        container = builder.said("from", "localhost/tetherline")
        has_the_server_alone(Path(builder.said("mount", container)))
        if archive:
            if MACHINES.get(platform.machine()) == architecture:
                serves(builder, container)
            Path(archive).unlink(missing_ok=True)
            builder.said("push", "--quiet", "localhost/tetherline", f"docker-archive:{archive}:tetherline:{version(archive)}")
            print(archive)
    finally:
        builder.said("rm", "--all")
        builder.said("rmi", "--all", "--force")


def version(archive: str) -> str:
    """tetherline-image-0.1.0-amd64.tar"""
    return Path(archive).stem.split("-")[2]


def is_described(image: dict, architecture: str) -> None:
    config = image["config"]
    assert image["architecture"] == architecture, image["architecture"]
    assert config["User"] == f"{NOBODYS_ROOT}:{NOBODYS_ROOT}", config["User"]
    assert config["Entrypoint"] == ["/tetherline"] and config["Cmd"] == ["serve"], config
    assert config["Healthcheck"]["Test"] == ["CMD", "/tetherline", "health"], config["Healthcheck"]
    assert config["StopSignal"] == "SIGTERM" and list(config["Volumes"]) == ["/data"], config


def has_the_server_alone(root: Path) -> None:
    assert {entry.name for entry in root.iterdir()} - MOUNT_POINTS == {"tetherline", "data"}, list(root.iterdir())
    assert (root / "tetherline").stat().st_mode & 0o777 == 0o755
    data = (root / "data").stat()
    assert (data.st_uid, data.st_gid) == (NOBODYS_ROOT, NOBODYS_ROOT), data


def serves(builder: Builder, container: str) -> None:
    """In the image's root and as its user; the network is this machine's."""
    server = builder.running(container, "--env", "TETHERLINE_LISTEN=127.0.0.1:0", "serve", stdout=subprocess.PIPE)
    try:
        url = server.stdout.readline().removeprefix("listening on ").strip()
        asked = builder.running(container, f"health --url {url}")
        assert asked.wait(PATIENCE_S) == 0, f"{url} is not ready"
        program = innermost(server.pid)
        assert os.stat(f"/proc/{program}").st_uid == NOBODYS_ROOT
        os.kill(program, signal.SIGTERM)
        assert server.wait(PATIENCE_S) == 0, server.returncode
    finally:
        server.kill()
        server.wait()
    away = builder.running(container, f"health --url {url}", stderr=subprocess.DEVNULL)
    assert away.wait(PATIENCE_S) == 1, "nobody serves any more"


def innermost(process: int) -> int:
    """The program itself, below those of the builder that wait for it."""
    while below := children(process):
        (process,) = below
    return process


def children(process: int) -> list[int]:
    threads = Path(f"/proc/{process}/task").iterdir()
    return [int(child) for thread in threads for child in (thread / "children").read_text().split()]


if __name__ == "__main__":
    main(*sys.argv[1:])
