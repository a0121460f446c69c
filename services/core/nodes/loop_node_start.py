"""`loop-node-start`: where a round of a loop begins; its outputs are the loop's variables."""

from services.core.language.kind import Kind, Params

LOOP_NODE_START = Kind(name="loop-node-start", params=Params)
