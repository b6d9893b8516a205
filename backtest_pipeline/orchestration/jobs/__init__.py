"""The jobs: their ops, their launch form and its presets."""
