"""The type of boto3's clients, which it builds at run time."""

from __future__ import annotations

from typing import Any

Boto3Client = Any
