"""`iteration-node-start`: where a round of an iteration begins; its output is the round's element."""

from services.core.language.kind import Kind, Params

ITERATION_NODE_START = Kind(name="iteration-node-start", params=Params)
