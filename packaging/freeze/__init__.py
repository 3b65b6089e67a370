"""Makes Heddle's installers: a frozen program folder, and the packages that carry it. See packaging/build.py."""


class BuildError(Exception):
    """Something keeps an installer from being made; the message says what and what to do."""
