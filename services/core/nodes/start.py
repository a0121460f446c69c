"""`node-start`: its outputs declare the parameters of a run. The values come with the run, not from other nodes."""

from services.core.codes import Code
from services.core.kind import Kind, Params

START = Kind(name="node-start", params=Params, failure=Code.START_NODE_SCHEMA_ERROR)
