"""The migrations against the tables: `python -m infra.migrations --check`, or `--new NAME` for the next one.

In come the tables of the read models; out goes a sentence for each difference, or a new file in `alembic/versions/`.
"""

import argparse
import asyncio
import sys

from services.kit import migrations


def main(arguments: list[str]) -> int:
    """Compare, or write. 1 where the tables differ from what the migrations give."""
    parser = argparse.ArgumentParser(prog="python -m infra.migrations", description=(__doc__ or "").split("\n", 1)[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--check", action="store_true", help="fail where the tables differ from what the migrations give")
    what.add_argument("--new", metavar="NAME", help="write a migration of this name")
    asked = parser.parse_args(arguments)
    if asked.check:
        differences = asyncio.run(migrations.drift())
        for difference in differences:
            print(f"no migration says: {difference}", file=sys.stderr)
        return 1 if differences else 0
    print(asyncio.run(migrations.revise(asked.new)) or "The tables are what the migrations give; nothing to write.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
