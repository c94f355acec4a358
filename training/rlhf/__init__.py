"""The trainer: recipes as processes over a run directory. Knows nothing of Django or Celery."""

import os

# libgomp reads this when torch is loaded. By default its threads spin between two products; where
# something else wants the same cores (a web server, labelers, a second process), sampling was 14
# times slower for that.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
