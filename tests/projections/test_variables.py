"""What do the flows of a chat remember?"""

import pytest

from events.node import VariablesStored
from events.topics import run_stream
from projections import variables
from services.kit.database import Database
from tests.support.histories import History
from tests.support.rows import project
from tests.support.samples import values


def stored(pool: str = "a" * 64, **words: object) -> VariablesStored:
    return VariablesStored(node="node-variable::1", pool=pool, flow="77", values=values(**words))


async def read(database: Database, pool: str = "a" * 64) -> dict[str, object]:
    async with database.connect() as connection:
        return await variables.read(connection, pool)


@pytest.mark.parametrize("batch", [1, 1000])
async def test_the_newest_value_of_each_variable_counts_whatever_run_it_is_from(database: Database, batch: int) -> None:
    history = History()
    history.say(run_stream("1"), stored(colour="blue", count=1), stored("b" * 64, colour="other"))
    history.say(run_stream("2"), stored(colour="green", list=[1, {"k": None}]))
    await project(database, history, batch)
    assert await read(database) == {"colour": "green", "count": 1, "list": [1, {"k": None}]}
    assert await read(database, "c" * 64) == {}


async def test_erased_words_change_nothing(database: Database) -> None:
    history = History()
    erased = stored().model_copy(update={"values": values().model_copy(update={"words": None})})
    history.say(run_stream("1"), stored(colour="blue"), erased)
    await project(database, history)
    assert await read(database) == {"colour": "blue"}
