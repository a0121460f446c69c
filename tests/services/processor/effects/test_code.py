"""The effect of a code node: an answer, or a failure with the code of the error table."""

import pytest

from services.core.running.effects import Broke, CodeRequest, Done
from tests.support.fixtures.effects import effect_settings, effect_world, outcomes_of


async def outcome(source: str, limit_ms: int = 5_000, **inputs: object):
    world = effect_world(effect_settings())
    try:
        (only,) = (await outcomes_of(CodeRequest("demo", source, inputs, limit_ms), world)).all
    finally:
        await world.sandbox.close()
    return only


async def test_the_answer_is_the_text_of_what_main_returned():
    assert await outcome("def main(a):\n    return {'s': a + 1}\n", a=1) == Done(outputs={"text": '{"s": 2}'})


@pytest.mark.parametrize(
    ("source", "code", "again"),
    [
        ("def main(a):\n    return 1 / 0\n", 21600, False),
        ("y = 1\n", 21601, False),
        ("def main(a):\n    return {1, 2}\n", 21602, False),
        ("def main(a):\n    while True:\n        pass\n", 21603, True),
    ],
)
async def test_each_failure_has_its_code(source: str, code: int, again: bool):
    broke = await outcome(source, 300, a=1)
    assert isinstance(broke, Broke)
    assert (broke.problem.code, broke.temporary) == (code, again)
