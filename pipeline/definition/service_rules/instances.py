"""What an instance type's name says: local storage, and the processor's architecture.

docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html: after family and generation come letters, of
which d is instance store volumes and g is a Graviton processor. Families that have local storage without a d are those
of docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-store-volumes.html.
"""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"(?:ml\.)?(?P<family>(?P<letters>[a-z]+)\d+(?P<attributes>[a-z]*)[a-z0-9-]*)\.[a-z0-9-]+")
_LOCAL_STORAGE: Final = re.compile(r"g[5-9]e?|gr\d+|g6f|p[5-9].*|trn\d+n?|dl\d+|[di]\d+[a-z]*|f\d+|h1|x1e?")
_GRACE: Final = re.compile(r"p\d+e?-gb\d+")


def has_local_storage(instance_type: str) -> bool:
    """Whether an instance of the type has local NVMe storage; False for what is no instance type."""
    named = _NAME.fullmatch(instance_type)
    return bool(named and ("d" in named["attributes"] or _LOCAL_STORAGE.fullmatch(named["family"])))


def is_arm64(instance_type: str) -> bool:
    """Whether the type's processor is an arm64 one; False for what is no instance type."""
    named = _NAME.fullmatch(instance_type)
    return bool(named and ("g" in named["attributes"] or _GRACE.fullmatch(named["family"])))
