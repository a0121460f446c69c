"""What the rows know of a chat, for an owner whose memory does not reach back so far.

In comes the wish for a run whose flow asks for history; what is missing is put into the memory before the run is decided, and
the tables are read with which its models' tokens are counted. An owner that has folded everything from the beginning never
asks the rows.
"""

import asyncio

from events.commands import StartRun
from events.envelope import Command
from projections import chat_messages
from services.core.codes import Code
from services.core.language.graph import Graph
from services.core.problems import Problem
from services.core.running.chats import MAX_ROUNDS, Chats, Exchange
from services.core.running.run import rounds_wanted
from services.kit import tokens
from services.kit.errors import NotReady
from services.kit.rows import Rows
from services.kit.world import World

PATIENCE_S = 20.0


class Recalling:
    """For one partition."""

    def __init__(self, world: World, partition: int, chats: Chats) -> None:
        self._database = world.database
        self._rows = Rows(world.database)
        self._partition = partition
        self._chats = chats
        self._counted: set[str] = set()

    async def before(self, wish: Command, graph: Graph) -> None:
        """Recall what this wish needs. Raises `Problem` where the rows are too far behind."""
        if not isinstance(wish, StartRun) or not (wish.chat or wish.history.words):
            return
        for model in _models(graph) - self._counted:
            await asyncio.to_thread(tokens.load, model)
            self._counted.add(model)
        chat, wanted = (wish.app, wish.chat), rounds_wanted(graph, wish)
        if not self._chats.lacks(chat, wanted):
            return
        try:
            await self._rows.wait(self._partition, self._chats.begun - 1, PATIENCE_S)
        except NotReady:
            raise Problem(Code.OPEN_API_ERROR, "the history of this chat is not in the rows yet; try again") from None
        async with self._database.connect() as connection:
            found = await chat_messages.rounds(connection, *chat, MAX_ROUNDS)
        self._chats.recall(chat, [Exchange(one.run, one.asked, one.answered) for one in found if one.asked and one.answered])


def _models(graph: Graph) -> set[str]:
    """Those that are given history."""
    asking = [node for node in graph.nodes.values() if node.kind.rounds(node)]
    return {budget.model for node in asking if (budget := node.kind.budget(node, {})) is not None}
