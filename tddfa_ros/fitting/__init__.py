"""Fit the morphable model to landmarks of many faces."""
