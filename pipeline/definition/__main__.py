"""`python -m pipeline.definition [--check]`: see pipeline.definition.compile. It takes "--check"."""

import sys

from pipeline.definition.compile import main

sys.exit(main())
