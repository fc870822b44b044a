"""Accuracy of face alignment on evaluation sets: landmarks, head pose, expression, confidence, stability, detection.

Suites evaluate any `prediction.Predictor`; `pipeline.PipelinePredictor` adapts a `FacePipeline`. Needs no
training libraries and no ROS.
"""
