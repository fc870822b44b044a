"""ROS 2 lives here and nowhere else: thin shells that turn messages into arrays, call the core, and publish results."""
