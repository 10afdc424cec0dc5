"""`python -m lti_tool` is the command `lti-badges`."""

from lti_tool.cli import main

main()
