"""`database`: one statement in a database of the flow's app (astron.md 4.9.18). Values are always bound, never written into it.

`dbId` names a database of the app's register. Mode 0 is SQL whose `{{placeholders}}` become bound values; 1 to 4 insert,
update, select and delete. Outputs: `isSuccess`, `message`, `outputList`. `limit` 0 means no limit.
"""

from typing import Annotated, Literal, cast

from pydantic import BeforeValidator, Field, JsonValue

from services.core.codes import Code
from services.core.language.kind import Answer, Asking, Finished, Inputs, Kind, Node, Params
from services.core.language.model_params import caller_of
from services.core.language.received import by_name
from services.core.problems import Problem
from services.core.running.effects import Condition, DatabaseRequest

OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "like", "not like", "in", "not in", "null", "not null")
_SQL, _INSERT, _UPDATE, _SELECT, _DELETE = range(5)


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class ConditionPart(Params):
    """`varIndex` is the id or the name of an input, else it is the value itself."""

    field: str = Field(min_length=1, max_length=128, alias="fieldName")
    value: JsonValue = Field(default=None, alias="varIndex")
    operator: Literal["=", "!=", "<", "<=", ">", ">=", "like", "not like", "in", "not in", "null", "not null"] = Field(
        alias="selectCondition"
    )


class CasePart(Params):
    """Conditions, all or any of them."""

    logical: Literal["and", "or"] = Field(default="and", alias="logicalOperator")
    conditions: tuple[ConditionPart, ...] = ()


class OrderPart(Params):
    """A field to order by."""

    field: str = Field(min_length=1, max_length=128, alias="fieldName")
    order: Literal["asc", "desc"] = "asc"


class DatabaseParams(Params):
    """Parameters as the console writes them."""

    app_id: str = Field(min_length=1, max_length=64, alias="appId")
    source: str = ""
    database: Annotated[str, BeforeValidator(_text)] = Field(min_length=1, max_length=128, alias="dbId")
    uid: str = Field(default="", max_length=64, pattern=r"^[0-9a-zA-Z]*$")
    mode: Literal[0, 1, 2, 3, 4]
    sql: str = ""
    table: str = Field(default="", max_length=128, alias="tableName")
    cases: tuple[CasePart, ...] = ()
    fields: tuple[str, ...] = Field(default=(), alias="assignmentList")
    order: tuple[OrderPart, ...] = Field(default=(), alias="orderData")
    limit: int = Field(default=0, ge=0)


def _param(node: Node) -> DatabaseParams:
    return cast("DatabaseParams", node.param)


def ask(node: Node, inputs: Inputs, asking: Asking) -> DatabaseRequest:
    """The statement, its values apart."""
    param = _param(node)
    case = param.cases[0] if param.cases else CasePart()
    by_id = {one.id: inputs[one.name] for one in node.inputs if one.id}

    def value(one: ConditionPart) -> JsonValue:
        if isinstance(one.value, str):
            return by_id.get(one.value, inputs.get(one.value, one.value))
        return one.value

    wanted = param.fields or tuple(inputs)
    return DatabaseRequest(
        app=asking.app,
        database=param.database,
        mode=param.mode,
        sql=param.sql,
        table=param.table,
        values={name: inputs[name] for name in wanted if name in inputs} if param.mode in {_INSERT, _UPDATE} else dict(inputs),
        conditions=tuple(Condition(one.field, one.operator, value(one)) for one in case.conditions),
        every=case.logical == "and",
        fields=param.fields,
        order=tuple((one.field, one.order == "desc") for one in param.order),
        limit=param.limit,
        quiet_ms=asking.quiet_ms,
        caller=caller_of(asking, param.source),
    )


def receive(node: Node, _inputs: Inputs, answer: Answer) -> Finished:
    """The declared ones of `isSuccess`, `message`, `outputList`."""
    return Finished(by_name(node, dict(answer.outputs or {})))


def check(node: Node) -> None:
    """What a mode needs is there."""
    param = _param(node)

    def no(field: str, why: str) -> Problem:
        return Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: nodeParam.{field}: {why}")

    if param.mode == _SQL and not param.sql.strip():
        raise no("sql", "mode 0 needs a statement")
    if param.mode != _SQL and not param.table:
        raise no("tableName", f"mode {param.mode} needs a table")
    if param.mode in {_UPDATE, _DELETE} and not (param.cases and param.cases[0].conditions):
        raise no("cases", f"mode {param.mode} needs a condition")
    if param.mode in {_INSERT, _UPDATE}:
        names = {one.name for one in node.inputs}
        missing = next((name for name in param.fields if name not in names), None)
        if missing is not None:
            raise no("assignmentList", f"there is no input {missing}")
        if not names:
            raise no("assignmentList", f"mode {param.mode} needs an input to write")


DATABASE = Kind(
    name="database",
    params=DatabaseParams,
    ask=ask,
    receive=receive,
    retries=True,
    check=check,
)
