"""The recipe `closed`: `python -m training.rlhf.closed RUN_DIR`."""

import sys

from training.rlhf.closed.recipe import main
from training.rlhf.process import run_recipe

if __name__ == "__main__":
    sys.exit(run_recipe(main, "closed"))
