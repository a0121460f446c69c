"""`node-start`: its outputs declare the parameters of a run. The values come with the run, not from other nodes.

Where some of them are files, it asks how large they are before the run goes on; everything else is known at once.
"""

from services.core.language.file_variables import links
from services.core.language.kind import Answer, Asking, Finished, Inputs, Kind, Node, Params
from services.core.running.effects import FilesRequest


def ask(node: Node, inputs: Inputs, asking: Asking) -> FilesRequest:
    """The links to look at."""
    return FilesRequest(app=asking.app, links=links(node.outputs, inputs), quiet_ms=asking.quiet_ms)


def receive(_node: Node, inputs: Inputs, _answer: Answer) -> Finished:
    """The parameters as they came: the files are as they must be."""
    return Finished(dict(inputs))


START = Kind(name="node-start", params=Params, ask=ask, receive=receive)
