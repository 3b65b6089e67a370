"""The frozen program: the command ``heddle``, the window ``heddle-desktop``, and every process of Heddle's own."""

import multiprocessing
import os
import sys

from freeze.begin import begin, is_window

if __name__ == "__main__":
    multiprocessing.freeze_support()
    if not begin(sys.argv[1:]):
        if is_window(os.path.basename(sys.argv[0])):
            from gui.app import main
        else:
            from engine.cli.main import main
        sys.exit(main())
