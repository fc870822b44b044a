"""What every node needs of ROS: parameters, threads, diagnostics, subscriptions."""
