"""Charts and pages from results: pure functions that return bytes or text, no files, clock or network."""
