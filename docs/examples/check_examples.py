"""Runs the commands of the documentation and holds what they print to what stands there.

    python3 docs/examples/check_examples.py PROGRAM README.md docs/tutorials/*.md      # from the checkout's root
    python3 docs/examples/check_examples.py --write PROGRAM FILE...                    # puts today's output there

An example is a fenced block whose lines begin with `$ `; what follows, up to the next such line, is its output (both streams). A line
`…` stands for any number of lines, `…` at the end of a line for the rest of it; such outputs are not rewritten. Files that an earlier
block of the page shows under a name (`name.json:` on the line before) are there.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

BLOCK = re.compile(r"^```[a-z]*\n(\$ .*?)^```$", re.M | re.S)
SHOWN = re.compile(r"^`([\w.-]+)`:\n+```\w*\n(.*?)^```$", re.M | re.S)


def matches(expected: list[str], found: list[str]) -> bool:
    """Whether lines are those expected, with `…` for what was left out."""
    pattern = ""
    for line in expected:
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        elif line.endswith("…"):
            pattern += re.escape(line[:-1]) + r".*\n"
        else:
            pattern += re.escape(line) + r"\n"
    return re.fullmatch(pattern, "".join(line + "\n" for line in found)) is not None


def run(command: str, environment: dict[str, str], folder: pathlib.Path) -> list[str]:
    """What a command prints."""
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=300, check=False)
    return [line.rstrip() for line in done.stdout.splitlines()]


def check(page: pathlib.Path, environment: dict[str, str], write: bool) -> tuple[int, int]:
    """The numbers of commands run and of those that print something else."""
    text = page.read_text()
    count, failures = 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        for name in ("docs", "Fixtures", "README.md"):
            (folder / name).symlink_to(pathlib.Path(name).resolve())
        for name, content in SHOWN.findall(text):
            (folder / name).write_text(content)

        def replace(block: re.Match[str]) -> str:
            nonlocal count, failures
            commands: list[list[str]] = []
            for line in block.group(1).splitlines():
                if line.startswith("$ "):
                    commands.append([line])
                else:
                    commands[-1].append(line)
            lines: list[str] = []
            for prompt, *expected in commands:
                count += 1
                found = run(prompt[2:], environment, folder)
                if not matches([line.rstrip() for line in expected], found):
                    if write and not any(line.endswith("…") for line in expected):
                        expected = found
                    else:
                        failures += 1
                        print(f"{page}: {prompt}\nexpected:", *expected, "found:", *found, sep="\n", file=sys.stderr)
                lines += [prompt, *expected]
            return block.group(0).replace(block.group(1), "".join(line + "\n" for line in lines))

        changed = BLOCK.sub(replace, text)
    if write and changed != text:
        page.write_text(changed)
    return count, failures


def main() -> int:
    arguments = sys.argv[1:]
    write = arguments[:1] == ["--write"]
    if write:
        arguments = arguments[1:]
    if len(arguments) < 2:
        print("usage: check_examples.py [--write] PROGRAM FILE...", file=sys.stderr)
        return 64
    program = pathlib.Path(arguments[0]).resolve()
    environment = dict(os.environ, PATH=f"{program.parent}:{os.environ['PATH']}", LC_ALL="C.UTF-8", COLUMNS="80")
    total, failed = 0, 0
    for name in arguments[1:]:
        count, failures = check(pathlib.Path(name), environment, write)
        total, failed = total + count, failed + failures
    print(f"{total} commands of {len(arguments) - 1} pages: {failed} print something else")
    return 1 if failed or not total else 0


sys.exit(main())
