"""Property tests are the same on every run here; the long lane looks for new ways."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("every run", deadline=None, derandomize=True, database=None)
settings.register_profile("long lane", deadline=None, max_examples=2000, print_blob=True)
settings.load_profile("long lane" if os.environ.get("SHARELITE_LONG") else "every run")
