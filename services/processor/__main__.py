"""`python -m services.processor` is `prozess processor`, with settings from the environment only."""

import sys

from services.kit.program.frame import main
from services.processor.app import run

if __name__ == "__main__":
    sys.exit(main("processor", run))
