"""Files of the original 3DDFA and 3DDFA_V2, read without executing anything in them, and turned into models of this package."""
