"""The Tetherline delivery server. `tetherline serve` starts it; this module only says where it is."""

import sys
import sysconfig
from pathlib import Path

__all__ = ["binary"]


def binary() -> Path:
    """The server's file, beside this Python's other programs."""
    name = "tetherline.exe" if sys.platform == "win32" else "tetherline"
    schemes = [sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user")]
    folders = [Path(sysconfig.get_path("scripts", scheme)) for scheme in schemes]
    # `pip install --target DIR` puts programs into DIR/bin.
    folders.append(Path(__file__).parent.parent / "bin")
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    places = ", ".join(str(folder) for folder in folders)
    raise FileNotFoundError(f"the server is in none of {places}: install tetherline again")
