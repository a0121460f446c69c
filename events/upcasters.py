"""Old stored shapes become the next shape, one small pure function a step. Never rewrite a topic.

In comes the JSON object of an old version; out goes that of the next one. The ladder is in `events/README.md`.
"""

from collections.abc import Callable, Mapping

from pydantic import JsonValue

Shape = dict[str, JsonValue]
Upcaster = Callable[[Shape], Shape]

UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}
"""(type, old version) → the step to the next version. Empty until a second version of anything exists."""


def upcast(type_: str, version: int, newest: int, shape: Shape, upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS) -> Shape:
    """The newest shape of an event that was stored as `version`. Raises `KeyError` where a step is missing."""
    for step in range(version, newest):
        shape = upcasters[type_, step](shape)
    return shape
