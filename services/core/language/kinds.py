"""The register of node kinds."""

from collections.abc import Mapping

from services.core.language.kind import Kind
from services.core.nodes.agent import AGENT
from services.core.nodes.chat_model import CHAT_MODEL
from services.core.nodes.database import DATABASE
from services.core.nodes.decision_making import DECISION_MAKING
from services.core.nodes.end import END
from services.core.nodes.extractor_parameter import EXTRACTOR_PARAMETER
from services.core.nodes.flow import FLOW
from services.core.nodes.if_else import IF_ELSE
from services.core.nodes.ifly_code import IFLY_CODE
from services.core.nodes.iteration import ITERATION
from services.core.nodes.iteration_node_end import ITERATION_NODE_END
from services.core.nodes.iteration_node_start import ITERATION_NODE_START
from services.core.nodes.knowledge_base import KNOWLEDGE_BASE
from services.core.nodes.knowledge_pro_base import KNOWLEDGE_PRO_BASE
from services.core.nodes.loop import LOOP
from services.core.nodes.loop_exit import LOOP_EXIT
from services.core.nodes.loop_node_end import LOOP_NODE_END
from services.core.nodes.loop_node_start import LOOP_NODE_START
from services.core.nodes.mcp import MCP
from services.core.nodes.memory_add import MEMORY_ADD
from services.core.nodes.memory_search import MEMORY_SEARCH
from services.core.nodes.message import MESSAGE
from services.core.nodes.node_variable import NODE_VARIABLE
from services.core.nodes.plugin import PLUGIN
from services.core.nodes.question_answer import QUESTION_ANSWER
from services.core.nodes.rpa import RPA
from services.core.nodes.spark_llm import SPARK_LLM
from services.core.nodes.start import START
from services.core.nodes.text_joiner import TEXT_JOINER
from services.core.nodes.variable_aggregation import VARIABLE_AGGREGATION
from services.core.nodes.wiki_prompt import WIKI_PROMPT
from services.core.nodes.wiki_retrieve import WIKI_RETRIEVE

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        START,
        SPARK_LLM,
        CHAT_MODEL,
        AGENT,
        DECISION_MAKING,
        IF_ELSE,
        ITERATION,
        ITERATION_NODE_START,
        ITERATION_NODE_END,
        LOOP,
        LOOP_NODE_START,
        LOOP_NODE_END,
        LOOP_EXIT,
        MESSAGE,
        TEXT_JOINER,
        IFLY_CODE,
        EXTRACTOR_PARAMETER,
        NODE_VARIABLE,
        VARIABLE_AGGREGATION,
        QUESTION_ANSWER,
        DATABASE,
        KNOWLEDGE_BASE,
        KNOWLEDGE_PRO_BASE,
        MCP,
        MEMORY_ADD,
        MEMORY_SEARCH,
        PLUGIN,
        RPA,
        FLOW,
        WIKI_RETRIEVE,
        WIKI_PROMPT,
        END,
    )
}
