"""The trainer: recipes as processes over a run directory. Knows nothing of Django or Celery."""
