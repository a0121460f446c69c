"""`iteration-node-end`: what a round of an iteration gives; an element of each output that has the name of one of its inputs."""

from services.core.language.body_end import BodyEndParams, work
from services.core.language.kind import Kind

ITERATION_NODE_END = Kind(name="iteration-node-end", params=BodyEndParams, work=work)
