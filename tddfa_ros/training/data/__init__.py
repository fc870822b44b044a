"""A user's own training data: folders of files and lists, their checks, their fits and maps, and the cache made of them."""
