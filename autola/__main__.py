"""`python -m autola`, and the command `autola`."""

import signal
import sys

from autola.cli import main


def run() -> None:
    """Ends the process with the exit code of the command; `kill` is to it what Ctrl-C is."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
