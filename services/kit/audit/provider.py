"""Which provider judges: none, the built-in words, or iFlytek's service, as the settings say."""

from services.kit.audit.iflytek import Iflytek
from services.kit.audit.port import Judge
from services.kit.audit.words import Words
from services.kit.clock import Clock, SystemClock
from services.kit.errors import Refused
from services.kit.settings import Settings, variable


def judge_of(settings: Settings, clock: Clock) -> Judge | None:
    """The provider; None where none is set. Raises `Refused` for settings that it cannot work with."""
    if settings.audit == "words":
        if settings.audit_file is None:
            raise Refused(f"{variable('audit')} is words: name the file with the words, {variable('audit_file')} (or --audit-file).")
        return Words(settings.audit_file)
    return Iflytek(settings, clock) if settings.audit == "iflytek" else None


async def check(settings: Settings) -> Judge | None:
    """The provider that these settings would give, closed again. Raises `Refused` before anything else has begun."""
    judge = judge_of(settings, SystemClock())
    if judge is not None:
        await judge.aclose()
    return judge
