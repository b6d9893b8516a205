"""The pipeline's processes on this machine: start them, report when they are ready, stop them."""
