"""As much of curl as the README's walk-through needs, for machines that have none."""

import sys
import urllib.error
import urllib.request


def main(arguments: list[str]) -> None:
    """Send one request and print the body of the answer, whatever its status."""
    method, url, body = "GET", "", None
    headers: dict[str, str] = {}
    words = iter(arguments)
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(words).encode()
        elif word != "-s":
            url = word
    request = urllib.request.Request(url, data=body, headers=headers, method=method)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            sys.stdout.write(answer.read().decode() + "\n")
    except urllib.error.HTTPError as error:
        sys.stdout.write(error.read().decode() + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
