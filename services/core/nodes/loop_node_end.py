"""`loop-node-end`: where a round of a loop ends; its inputs become the variables of the next round."""

from services.core.body_end import BodyEndParams, work
from services.core.codes import Code
from services.core.kind import Kind

LOOP_NODE_END = Kind(name="loop-node-end", params=BodyEndParams, failure=Code.ITERATION_EXECUTION_ERROR, work=work)
