"""Runs in a container: times a program by the wall clock, its output in a log. Prints one JSON object."""

import json
import subprocess
import sys
import time
from pathlib import Path

log, *argv = sys.argv[1:]
Path(log).parent.mkdir(parents=True, exist_ok=True)
with Path(log).open("ab") as file:
    file.write(f"$ {' '.join(argv)}\n".encode())
    file.flush()
    begin = file.tell()
    start = time.monotonic()
    code = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file).returncode
    seconds = time.monotonic() - start
with Path(log).open("rb") as file:
    file.seek(begin)
    tail = file.read()[-3000:].decode(errors="replace")
print(json.dumps({"seconds": seconds, "code": code, "tail": tail if code else ""}))
