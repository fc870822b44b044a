"""Inference with ONNX Runtime: sessions, execution providers, IO binding, TensorRT engines."""
