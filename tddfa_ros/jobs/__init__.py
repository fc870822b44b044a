"""Process many images, videos and bags, in one process or in many."""
