"""What the pages show: read-only views, each made with a constant number of queries."""
