"""Regression of morphable model parameters from face crops."""
