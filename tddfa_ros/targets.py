"""Where command output goes."""
