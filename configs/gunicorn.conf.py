"""How gunicorn runs the tool; the address and the number of threads come from the tool's own settings."""

workers = 1
worker_class = "gthread"
timeout = 60
graceful_timeout = 30
keepalive = 5
# Logins by GET carry whole tokens in their address (RFC 9112 §3: at least 8000 bytes).
limit_request_line = 8190
# The worker's heartbeat file must not be on a disk that can stall.
worker_tmp_dir = "/dev/shm"  # noqa: S108 (memory, not a folder to share files in)
control_socket_disable = True
