"""Pure computation: no files, no clock, no network."""
