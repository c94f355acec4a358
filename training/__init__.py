"""What machines learn: datasets, runs, rounds, checkpoints, deployments. Reads `labeling`."""
