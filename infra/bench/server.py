"""The service under the bench: `prozess dev`, and one more node kind that exists only here.

`bench-noop` asks for an effect that does nothing, so that a step costs what the record costs.
`python -m infra.bench.server --port 0 --data DIR [--kafka ADDR]` takes the options of `prozess dev`.
"""

from typing import cast

from services.cli import main
from services.core.language.kind import Asking, Finished, Inputs, Kind, Node, Params
from services.core.language.kinds import KINDS
from services.core.running.effects import NoopRequest

NAME = "bench-noop"


def _ask(_node: Node, _inputs: Inputs, _asking: Asking) -> NoopRequest:
    return NoopRequest()


def _conclude(_node: Node, _content: str, _reasoning: str) -> Finished:
    return Finished()


NOOP = Kind(name=NAME, params=Params, ask=_ask, conclude=_conclude)

if __name__ == "__main__":
    cast("dict[str, Kind]", KINDS)[NAME] = NOOP
    main()
