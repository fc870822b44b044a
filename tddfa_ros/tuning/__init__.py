"""Measure and choose: devices, precision, TensorRT engines."""
