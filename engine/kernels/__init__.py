"""Products and layers by number format, chosen by trial on the machine."""
