"""LTI 1.3: logins, launches, keys and platform services; the only package that knows pylti1p3."""
