# ruff: noqa: E402, ANN401  # nothing may be imported before the patching; gunicorn has no types
from gevent import monkey

monkey.patch_all()

"""How gunicorn runs gobi. `gobi serve` starts it; the settings come from the environment."""

import logging
import os
import ssl
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from ops import listening, logs, tls
from ops.metrics_folder import MetricsFolder
from ops.settings import SettingsError, parse
from ops.systemd import Systemd
from sync.addresses import in_both_forms

_settings = parse(os.environ)
_systemd = Systemd.from_environment(os.environ)
_metrics = MetricsFolder(os.environ)

wsgi_app = "gobi:get_app()"
bind = _settings.listen
workers = _settings.workers
worker_class = "ops.worker.Worker"
# A thousand for those who have signed in, or whose passwords are checked, whatever strangers do (handlers/strangers.py)
worker_connections = 1_000 + _settings.strangers
# Also the deadline for the head of another request of somebody who has signed in, however slowly it comes.
keepalive = 30
graceful_timeout = 10
timeout = 30
# A path of 1,024 bytes has up to 3,072 when percent-encoded, and `after=` may be another one.
limit_request_line = 8_190
limit_request_fields = 64
# Whose X-Forwarded-Proto counts.
forwarded_allow_ips = ",".join(map(str, in_both_forms(_settings.trusted_proxies)))
# No proxy has to move the application: by default a header could.
forwarder_headers = ""
umask = 0o077
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  # a heartbeat, not on an SD card
# The one whose refusals of request smuggling were measured.
http_parser = "python"
control_socket_disable = True
accesslog = None
logconfig_dict = logs.configuration(
    _settings.log_level, _settings.log_format, journal=logs.goes_to_journal(os.environ, sys.stdout.fileno())
)

if _settings.tls_cert is not None:
    certfile = str(_settings.tls_cert)
    keyfile = str(_settings.tls_key)
    try:
        tls.serving.take(_settings)
    except SettingsError as error:  # `gobi serve` had a look a moment ago
        sys.stderr.write(f"gobi: {error}\n")
        sys.exit(error.exit_code)


def on_starting(_server: Any) -> None:
    """In the master, before all workers."""
    # Of one worker nobody shares the memory, and the master would have what it does not need.
    if _settings.workers > 1:
        import_module("gobi").load_once(_settings)  # by its name, as in `wsgi_app`: nothing here may know every part


def ssl_context(_config: Any, _default_factory: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """In a worker: what the master holds. The files may be others by now, and unfit."""
    return tls.serving.context()


def on_reload(_server: Any) -> None:
    """In the master, before it makes new workers."""
    tls.serving.take_again(_settings)


def when_ready(server: Any) -> None:
    """Tells whoever started it where it listens."""
    if _systemd is not None:
        _systemd.attach(server)
    try:
        listening.open_socket_to_its_group(_settings)
    except SettingsError as error:
        sys.stderr.write(f"gobi: {error}\n")
        server.halt(exit_status=error.exit_code)
    tls.serving.attach(server)
    for listener in server.LISTENERS:
        logging.getLogger("gobi.start").info("gobi is listening on %s", listener)


def post_worker_init(_worker: Any) -> None:
    """In the worker, right before it accepts."""
    if _systemd is not None:
        _systemd.worker_started()


def child_exit(_server: Any, worker: Any) -> None:
    """In the master, after a worker ended."""
    _metrics.forget(worker.pid)


def on_exit(_server: Any) -> None:
    """In the master, at the very end."""
    _metrics.remove()
