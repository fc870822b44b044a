"""Many faces of many images on one device, with PyTorch and ONNX Runtime: crops, network, landmarks and dense vertices."""
