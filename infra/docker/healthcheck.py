"""Exit 0 when the service in this container says that it is ready (the image has no curl)."""

import os
import sys
import urllib.error
import urllib.request

url = f"http://127.0.0.1:{os.environ.get('HEADRACE_HTTP__PORT', '8000')}/readyz"
try:
    with urllib.request.urlopen(url, timeout=4) as answer:
        sys.exit(0 if answer.status == 200 else 1)
except (urllib.error.URLError, OSError) as error:
    sys.stderr.write(f"{url}: {error}\n")
    sys.exit(1)
