"""`python -m services.dev` is `prozess dev`, with settings from the environment only."""

import sys

from services.dev.app import main, settings_for_dev
from services.kit.errors import Refused
from services.kit.program.exits import REFUSED, say
from services.kit.settings import load


def start() -> int:
    """The exit code."""
    try:
        settings = settings_for_dev(load())
    except Refused as no:
        return say(no, REFUSED)
    return main(settings)


if __name__ == "__main__":
    sys.exit(start())
