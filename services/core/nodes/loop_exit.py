"""`loop-exit`: where a loop is left: its round is the last, its inputs are the last values of the variables."""

from services.core.body_end import BodyEndParams, work
from services.core.codes import Code
from services.core.kind import Kind

LOOP_EXIT = Kind(name="loop-exit", params=BodyEndParams, failure=Code.ITERATION_EXECUTION_ERROR, work=work)
