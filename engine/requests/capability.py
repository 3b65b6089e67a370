"""What models can do, and tasks need: the kinds of request that they answer."""

from __future__ import annotations

ENCODE = "encode"
GENERATE = "generate"
