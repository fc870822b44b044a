"""Train the network that estimates attributes."""
