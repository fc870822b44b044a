"""Convert between ROS messages and the values of the core."""
