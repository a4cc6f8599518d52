"""What every capability of the stack is built on."""

from __future__ import annotations

from constructs import Construct

from infra.alarms.alerts import Alerts
from infra.foundation.kms_keys import KmsKeys
from infra.foundation.storage import Storage
from infra.settings.settings import Settings


class Foundation:
    """`settings`, `storage` (the buckets), `key` of data and logs, and `alerts`, which has the key of messages."""

    def __init__(self, stack: Construct, settings: Settings) -> None:
        keys = KmsKeys(stack, "Keys", settings)
        self.settings = settings
        self.key = keys.data
        self.storage = Storage(stack, "Storage", settings, keys.data)
        self.alerts = Alerts(stack, "Alerts", settings, keys.messages)
