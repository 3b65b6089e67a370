"""``python -m engine`` is the ``heddle`` command."""

import sys

from engine.cli import main

sys.exit(main())
