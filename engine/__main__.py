"""``python -m engine`` is the ``heddle`` command."""

import sys

from engine.cli.main import main

sys.exit(main())
