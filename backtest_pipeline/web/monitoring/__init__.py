"""What monitoring reads: `/healthz` and `/metrics`."""
