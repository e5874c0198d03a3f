"""The examples and words of deploy/: none of them rots."""
