"""Work on many files: images, videos and bags, one after the other or by many processes."""
