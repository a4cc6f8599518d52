"""An HTTP request to AWS as a call: service, operation, parameters, and whose keys signed it (botocore's models)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request as HttpRequest
from moto.core.request import determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model

# Services that sign with another name than the one that botocore's models have.
_SERVICES = {"states": "stepfunctions", "monitoring": "cloudwatch", "email": "ses"}


@dataclass(frozen=True)
class Call:
    """One call of an API."""

    service: str
    operation: str
    region: str
    parameters: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        """A parameter that the call must have."""
        return self.parameters[name]

    def get(self, name: str, default: Any = None) -> Any:
        """A parameter that it may have."""
        return self.parameters.get(name, default)


def signed_by(request: HttpRequest) -> tuple[str, str, str] | None:
    """Access key, region and service of the signature; None for a request without one."""
    found = re.search(
        r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request", request.headers.get("Authorization", "")
    )
    return (found[1], found[2], _SERVICES.get(found[3], found[3])) if found else None


def read(request: HttpRequest, region: str, service: str) -> Call:
    """The call that a request makes; raises what moto raises for one that no operation fits."""
    operation, in_path = get_service_router(service).match(request)
    model = get_service_model(service)
    parser = PROTOCOL_PARSERS[determine_request_protocol(model, request.content_type)](operation)
    parsed = parser.parse(
        {
            "method": request.method,
            "values": request.values,
            "headers": request.headers,
            "body": request.data,
            "url_path": request.path,
            "url_params": in_path,
        }
    )
    return Call(service, operation.name, region, {**in_path, **(parsed or {})})
