"""What `deploy` holds that follows from the code."""
