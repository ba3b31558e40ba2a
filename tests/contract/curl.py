"""The part of curl that the examples in the documents need, for machines without curl."""

import sys
import urllib.error
import urllib.request


def main(arguments: list[str]) -> None:
    """Send one request and print the body of the answer, whatever its status, and the output of ``-w``."""
    method, url, body, after = "GET", "", None, ""
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
        elif word == "-w":
            after = next(words).replace("\\n", "\n")
        elif word != "-sS":
            url = word
    request = urllib.request.Request(url, data=body, headers=headers, method=method)
    try:
        answer = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        sys.stdout.write(answer.read().decode() + after.replace("%{http_code}", str(answer.status)))


if __name__ == "__main__":
    main(sys.argv[1:])
