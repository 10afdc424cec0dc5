"""One blueprint per audience; a view reads the request, calls a use case, and shows a page."""
