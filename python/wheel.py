"""Writes the wheel with the server in it: wheel.py BINARY PLATFORM VERSION TO PAPERS

The binary belongs to no Python, so the wheel is for each (`py3-none`), and PLATFORM is what the binary runs on. PAPERS
has what it says of itself: manual pages and completions.
"""

import base64
import hashlib
import stat
import sys
import tomllib
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
# The oldest time that a ZIP archive can say: the same files make the same wheel.
TIME = (1980, 1, 1, 0, 0, 0)

# Below the environment's prefix, where shells and `man` look if it is on their path.
SHARED = {
    "man/*.1": "share/man/man1",
    "completions/tetherline": "share/bash-completion/completions",
    "completions/_tetherline": "share/zsh/site-functions",
    "completions/tetherline.fish": "share/fish/vendor_completions.d",
}


def main(binary: str, platform: str, version: str, to: str, papers: str) -> None:
    name = f"tetherline-{version}"
    files = {f"tetherline/{path.name}": path.read_bytes() for path in sorted((HERE / "tetherline").glob("*.py"))}
    windows = platform.startswith("win")
    program = f"{name}.data/scripts/tetherline{'.exe' if windows else ''}"
    files[program] = Path(binary).read_bytes()
    for pattern, place in SHARED.items():
        for path in sorted(Path(papers).glob(pattern)):
            files[f"{name}.data/data/{place}/{path.name}"] = path.read_bytes()
    for licence in ("LICENSE-APACHE", "LICENSE-MIT"):
        files[f"{name}.dist-info/licenses/{licence}"] = (HERE.parent / licence).read_bytes()
    files[f"{name}.dist-info/METADATA"] = metadata(version).encode()
    tags = "".join(f"Tag: py3-none-{tag}\n" for tag in platform.split("."))
    files[f"{name}.dist-info/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: tetherline\nRoot-Is-Purelib: false\n{tags}".encode()
    )
    record = f"{name}.dist-info/RECORD"
    rows = [f"{path},sha256={digest(content)},{len(content)}\n" for path, content in files.items()]
    files[record] = "".join([*rows, f"{record},,\n"]).encode()
    wheel = Path(to) / f"{name}-py3-none-{platform}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path, TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (stat.S_IFREG | (0o755 if path == program else 0o644)) << 16
            archive.writestr(entry, content)
    print(wheel)


def metadata(version: str) -> str:
    project = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {project['name']}",
        f"Version: {version}",
        f"Summary: {project['description']}",
        f"Keywords: {','.join(project['keywords'])}",
        f"Requires-Python: {project['requires-python']}",
        f"License-Expression: {project['license']}",
        "License-File: LICENSE-APACHE",
        "License-File: LICENSE-MIT",
        "Description-Content-Type: text/markdown",
    ]
    return "\n".join(lines) + "\n\n" + (HERE / project["readme"]).read_text()


def digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


if __name__ == "__main__":
    main(*sys.argv[1:])
