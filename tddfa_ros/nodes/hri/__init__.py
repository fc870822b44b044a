"""Messages, topics and state of ``hri_node`` (ROS4HRI, REP-155)."""
