"""`python -m lti_tool.sandbox.badgr --port 8003` runs the sandbox Badgr alone."""

import argparse

from lti_tool.sandbox.badgr import create_badgr
from lti_tool.sandbox.serving import LocalServer

parser = argparse.ArgumentParser(description="A local stand-in for Badgr.")
parser.add_argument("--port", type=int, default=8003)
LocalServer(create_badgr(), "127.0.0.1", parser.parse_args().port).run()
