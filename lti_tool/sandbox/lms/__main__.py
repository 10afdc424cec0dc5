"""`python -m lti_tool.sandbox.lms --port 8001` runs the sandbox LMS alone."""

import argparse

from lti_tool.sandbox.lms import LmsConfig, create_lms
from lti_tool.sandbox.serving import LocalServer

parser = argparse.ArgumentParser(description="A local stand-in for an LMS.")
parser.add_argument("--port", type=int, default=8001)
port = parser.parse_args().port
server = LocalServer(create_lms(LmsConfig(base_url=f"http://localhost:{port}")), "localhost", port)
server.run()
