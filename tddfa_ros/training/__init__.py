"""Fitting labels, data, networks, losses, the trainer, evaluation and ONNX export (build time; needs torch)."""
