"""Texts to vectors: batches by a length budget, packed encoders."""
