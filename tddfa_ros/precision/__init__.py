"""Number format of the networks: float32, or int8 made on this machine at first use."""
