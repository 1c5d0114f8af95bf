"""page_daemon_test.py BANYAND [--shots DIR]: the page of a real daemon, in a real browser (page_test.py says what it does)."""

import json
import pathlib
import subprocess
import sys

from daemon import MODEL, daemon, scratch_folder

HERE = pathlib.Path(__file__).resolve().parent


def problems(count):
    with open(MODEL / "heldout.jsonl", encoding="utf-8") as lines:
        for _, line in zip(range(count), lines):
            found = json.loads(line)
            yield {"numbers": found.get("numbers") or found["nums"], "target": found["target"]}


def main():
    program, *rest = sys.argv[1:]
    with scratch_folder() as folder, daemon(program, folder, "--concurrency", 1) as d:
        for problem in problems(5):
            done = d.post("/v1/trees", {"problem": problem})
            assert done.status == 200, done
        return subprocess.call([sys.executable, str(HERE / "page_test.py"), d.url, *rest])


if __name__ == "__main__":
    sys.exit(main())
