"""`python -m services.projector` is `prozess projector`, with settings from the environment only."""

import sys

from services.kit.program.frame import main
from services.projector.app import run

if __name__ == "__main__":
    sys.exit(main("projector", run))
