"""Results on disk: writing, reading, verifying, listing and deleting them."""
