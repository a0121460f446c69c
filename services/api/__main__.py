"""`python -m services.api` is `prozess api`, with settings from the environment only."""

import sys

from services.api.app import run
from services.kit.program.frame import main

if __name__ == "__main__":
    sys.exit(main("api", run))
