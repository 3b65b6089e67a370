"""Text from decoders: slots over shared weights, and batches through ``generate()`` for the families that need them."""
