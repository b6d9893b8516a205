"""Files and nothing else."""
