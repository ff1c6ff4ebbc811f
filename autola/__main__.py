"""`python -m autola`, and the command `autola`."""

import sys

from autola.cli import main


def run() -> None:
    """Ends the process with the exit code of the command."""
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
