"""Web addresses: only a plain host is taken, for origins become a part of our content policy."""

import pytest

from lti_tool.lti.addresses import is_same_origin, origin_of, origin_text


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://lms.example/path?a=b;c d", "https://lms.example"),
        ("HTTPS://LMS.Example:443/", "https://lms.example"),
        ("http://lms_1.intern:8080", "http://lms_1.intern:8080"),
        ("https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443"),
    ],
)
def test_an_origin_is_written_as_browsers_do(url: str, origin: str) -> None:
    assert origin_text(url) == origin
    assert is_same_origin(url, origin)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://",
        "https://:443/",
        "https://user@lms.example/",
        "https://a * @lms.example/",
        "https://a; sandbox @lms.example/",
        "https://lms.example; script-src *",
        "https://lms.example *",
        "https://*.example",
        "https://lms.example,evil.example",
        "https://lms.example'self'",
        "https://lms.example:x",
        "https://lms.example:70000",
        "https://[::1",
        "https://l\u00e4ms.example",
        f"https://{'a' * 241}",
    ],
)
def test_what_is_no_plain_host_has_no_origin(url: str) -> None:
    assert origin_of(url) is None
    assert origin_text(url) == ""
    assert not is_same_origin(url, url)
