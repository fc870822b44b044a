"""Import of original 3DDFA and 3DDFA_V2 files, without executing pickled code, as models of this package."""
