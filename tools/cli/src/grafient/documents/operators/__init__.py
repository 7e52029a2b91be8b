"""What operators see of the system: metrics, log events, exit statuses."""
