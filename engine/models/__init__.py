"""Model folders: look before loading, load, pack."""
