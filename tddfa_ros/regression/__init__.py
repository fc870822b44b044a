"""From crops of faces to the coefficients of the morphable model."""
