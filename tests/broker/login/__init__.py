"""What the endpoints of a login share."""
