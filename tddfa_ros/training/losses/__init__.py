"""Loss of the regressor: its terms, their weighted sum, and the meta-joint selection between two of them."""
