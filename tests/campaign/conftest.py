"""Lets the campaign find the modules of other tests whose machinery it uses."""

import places  # noqa: F401
