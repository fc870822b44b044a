"""Diagnosis, timing, quantization and TensorRT engines."""
