"""Training of models; the only package that imports torch."""

import os

# Read once, when torch loads its thread pool. By default idle threads of a step spin for milliseconds while they wait
# for the others; next to any other busy process (the web app, a browser) that made training up to five times slower.
# A short wait has no measurable cost on an idle machine.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
