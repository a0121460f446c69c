"""E1, the plain envelope: `{"code":0,"message":"success","data":…,"sid":…}`; `data` only where there is some."""

from starlette.responses import Response

from services.api.answers.problems import Json, sid


def success(data: object = None) -> Response:
    """The answer to a wish that was granted."""
    said: dict[str, object] = {"code": 0, "message": "success"}
    if data:
        said["data"] = data
    return Json({**said, "sid": sid()})
