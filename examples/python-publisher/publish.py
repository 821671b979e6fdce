"""Publishes to a Tidegate channel over HTTP, with Python's standard library alone.

    API_KEY=... python3 publish.py http://localhost:3000 news:today headline '{"text": "Hello"}'
"""

import json
import os
import random
import sys
import time
import urllib.error
import urllib.request
import uuid


class PublishError(Exception):
    def __init__(self, problem):
        super().__init__(problem.get("detail", "no response"))
        self.code = problem.get("code", "unreachable")
        self.retry_after = problem.get("retryAfterMs", 0) / 1000


class Publisher:
    def __init__(self, url, api_key, max_attempts=5, timeout=5):
        self.url = url.rstrip("/")
        self.api_key = api_key
        self.max_attempts = max_attempts
        self.timeout = timeout

    def publish(self, channel, event, data, key=None):
        """Publishes once, however often it is retried. Returns {channel, epoch, offset, duplicate}."""
        body = {"channel": channel, "event": event, "data": data}
        return self._post("/v1/publish", body, key or str(uuid.uuid4()))

    def publish_batch(self, publications):
        """Up to 1000 publications. Returns one result per publication: {ok: true, ...} or {ok: false, error}."""
        keyed = [{"idempotencyKey": str(uuid.uuid4()), **one} for one in publications]
        return self._post("/v1/publish/batch", {"publications": keyed}, None)["results"]

    def _post(self, path, body, key):
        for attempt in range(self.max_attempts):
            try:
                return self._send(path, body, key)
            except PublishError as error:
                is_temporary = error.code in ("unreachable", "unavailable", "rate_limited", "draining", "internal")
                if not is_temporary or attempt == self.max_attempts - 1:
                    raise
                time.sleep(max(error.retry_after, 0.1 * 2**attempt * random.uniform(0.75, 1.25)))

    def _send(self, path, body, key):
        headers = {"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise PublishError(problem_of(error)) from error
        except OSError as error:
            raise PublishError({}) from error


def problem_of(response):
    """The problem document (RFC 9457); a proxy may have sent something else."""
    try:
        return {"code": "internal", **json.load(response)}
    except ValueError:
        return {"code": "unavailable" if response.code >= 500 else "internal", "detail": f"HTTP {response.code}"}


if __name__ == "__main__":
    _, url, channel, event, data = sys.argv
    print(json.dumps(Publisher(url, os.environ["API_KEY"]).publish(channel, event, json.loads(data))))
