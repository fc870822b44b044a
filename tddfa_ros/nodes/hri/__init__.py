"""ROS4HRI (REP-155): the node and what it publishes."""
