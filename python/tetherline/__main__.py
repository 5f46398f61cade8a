"""`python -m tetherline serve`."""

import os
import subprocess
import sys

from tetherline import binary


def main() -> int:
    try:
        program = os.fspath(binary())
    except FileNotFoundError as error:
        print(f"tetherline: {error}", file=sys.stderr)
        return 127
    arguments = [program, *sys.argv[1:]]
    if sys.platform == "win32":
        return subprocess.run(arguments).returncode
    # The server takes this process's place, so that signals and the exit code are its own.
    os.execv(program, arguments)


if __name__ == "__main__":
    sys.exit(main())
