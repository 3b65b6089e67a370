"""What is measured while the engine works."""
