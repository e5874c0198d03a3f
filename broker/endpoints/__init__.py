"""One file an endpoint: the constructor takes collaborators; `routes()`, `metadata()`."""
