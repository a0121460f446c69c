"""What runs inside the OS sandbox: a program of its own that needs nothing but the standard library.

In comes one line of JSON on the standard input: the source, what `main` is given, and the limits. Out goes one line of JSON
on what was the standard output. By then the limits are set, and what the code prints goes nowhere.
"""

import json
import os
import resource
import sys
import traceback
from typing import Any

FILE = "<code>"


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """What came of the code."""
    names: dict[str, Any] = {"__name__": "code"}
    try:
        exec(compile(asked["source"], FILE, "exec"), names)  # noqa: S102 (that is what this process is for)
        result = names["main"](**asked["given"])
    except SyntaxError as error:
        return {"reason": "failed", "said": f"SyntaxError: {error.msg}", "line": error.lineno if error.filename == FILE else None}
    except BaseException as error:  # noqa: BLE001 (whatever a stranger raises is told)
        lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == FILE]
        return {"reason": "failed", "said": f"{type(error).__name__}: {error}"[:2000], "line": lines[-1] if lines else None}
    try:
        text = json.dumps(result, ensure_ascii=False)
    except BaseException as error:  # noqa: BLE001 (the same)
        return {"reason": "result", "said": type(error).__name__}
    return {"text": text if len(text) <= asked["longest"] else None}


def main() -> None:
    """Read, set the limits, run, tell, and leave without waiting for anything the code left behind."""
    asked = json.loads(sys.stdin.buffer.readline())
    told = os.fdopen(os.dup(1), "wb")
    silent = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(silent, number)
    for what, limit in (
        (resource.RLIMIT_AS, asked["memory"]),
        (resource.RLIMIT_CPU, asked["seconds"]),
        (resource.RLIMIT_FSIZE, asked["memory"]),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (limit, limit))
    told.write(json.dumps(run(asked)).encode() + b"\n")
    told.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
