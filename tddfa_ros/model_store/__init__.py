"""Where model files lie: the manifest, fetching, verification, imported models."""
