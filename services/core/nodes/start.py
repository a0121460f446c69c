"""`node-start`: its outputs declare the parameters of a run. The values come with the run, not from other nodes.

Where some of them are files, it asks how large they are before the run goes on; everything else is known at once.
"""

from services.core.codes import Code
from services.core.effects import FilesRequest
from services.core.file_variables import links
from services.core.kind import Answer, Asking, Finished, Inputs, Kind, Node, Params


def ask(node: Node, inputs: Inputs, asking: Asking) -> FilesRequest:
    """The links to look at."""
    return FilesRequest(app=asking.app, links=links(node.outputs, inputs), quiet_ms=asking.quiet_ms)


def receive(_node: Node, inputs: Inputs, _answer: Answer) -> Finished:
    """The parameters as they came: the files are as they must be."""
    return Finished(dict(inputs))


START = Kind(name="node-start", params=Params, failure=Code.START_NODE_SCHEMA_ERROR, ask=ask, receive=receive)
