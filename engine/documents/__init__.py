"""Paths in, decoded documents out."""
