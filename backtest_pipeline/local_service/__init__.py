"""The pipeline's processes on this machine: start them, tell when they are ready, stop them."""
