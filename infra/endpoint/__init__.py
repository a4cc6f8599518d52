"""An endpoint that serves the champion."""
