"""Apps are registered, and registered again."""

from events.app import AppRegistered, Key
from events.commands import RegisterApp
from services.core.app import APP, AppState
from tests.support.spec import given

TERMS = {
    "app": "demo", "name": "Demo", "is_tenant": True, "source": 1, "platform_rights": 7, "audit_policy": 0,
    "keys": (Key(key="k", secret_hash="00$11"),),
}  # fmt: skip


def test_registering_and_renewing_leave_the_same_event():
    wish, registered = RegisterApp(**TERMS), AppRegistered(**TERMS)
    given(APP).when(wish).then(registered)
    given(APP, registered).when(wish).then(registered)
    assert given(APP).after(wish, wish).state == AppState(registered=True)
