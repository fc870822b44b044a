"""Model files: manifest, download, verification, imported models."""
