"""Accuracy of face alignment on evaluation sets: landmarks, head pose, expression, confidence, stability, detection.

Suites measure anything that is a `prediction.Predictor`; `pipeline.PipelinePredictor` makes one of a `FacePipeline`. Needs no
training libraries and no ROS.
"""
