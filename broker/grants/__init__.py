"""One file a grant_type."""
