"""What people say: prompts, completions, rankings. Works with no trainer at all."""
