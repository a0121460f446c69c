"""`loop-exit`: where a loop is left: its round is the last, its inputs are the last values of the variables."""

from services.core.language.body_end import BodyEndParams, work
from services.core.language.kind import Kind

LOOP_EXIT = Kind(name="loop-exit", params=BodyEndParams, work=work)
