"""`loop-node-end`: where a round of a loop ends; its inputs become the variables of the next round."""

from services.core.language.body_end import BodyEndParams, work
from services.core.language.kind import Kind

LOOP_NODE_END = Kind(name="loop-node-end", params=BodyEndParams, work=work)
