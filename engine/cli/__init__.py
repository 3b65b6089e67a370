"""The ``heddle`` command."""
