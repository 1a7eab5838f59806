"""`python -m memo` is the command `memo`."""

import sys

from .cli import main

sys.exit(main())
