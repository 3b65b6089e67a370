"""Heddle's engine: documents in, one result row per document out, with no window attached."""

__version__ = "0.1.0"
