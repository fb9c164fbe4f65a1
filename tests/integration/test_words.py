#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The sentences that users see, read in the sources: what nobody could understand, or would
say so in English, does not return. Comments are for those who read the code, and may."""
import pathlib
import re
import sys

import tap
from harness import SOURCE

LITERAL = r'"(?:[^"\\\n]|\\.)*"'
# An expression that no sentence may have, and one that had it.
BANNED = (
    (r"has its size since", "The data disk of \"x\" has its size since its first start"),
    (r"come to be", "x has not come to be running in time"),
    (r"\bmeanwhile\b", "\"x\" is stopped meanwhile"),
    (r"\b(?!has\b|is\b)\w+s too many\b", "There are arguments too many"),
    (r"(?<![Tt]here )\bis no (?!longer\b)", "\"x\" is no instance name"),
    (r"\bthat is none\b", "has a number that is none"),
    (r"\bexcludes? (each other|--|both)", "--session and --system exclude each other"),
    (r"\bunder way\b", "You have as many calls under way as one client may"),
    (r"\bliv(es|e still|ing machine)", "Whether a machine of \"x\" lives could not be seen yet"),
    (r"could not be (seen|looked at)", "Whether a machine of \"x\" lives could not be seen yet"),
    (r"\banew\b", "create it anew"),
    (r"cannot be had|not been had", "The bus name x cannot be had"),
    (r"\btaken (in|back)\b", "its creation was cut off, and is taken back"),
    (r"outlived|outlives its", "QEMU of \"x\" has outlived its kill"),
    (r"goes on starting", "it goes on starting"),
    (r"stands there", "LUKS_UUID stands there twice"),
    (r"\bsays (it already|another|others|no value)", "--vcpus says another number"),
    (r"does not go with", "report does not go with -H"),
    (r", it must (be|look)", "port-range is \"x\", it must look like 5050-25049"),
    (r"\bis (none|no one) ", "is none that SEV-SNP is known of"),
    (r"\bauthenticate first\b", "This needs the polkit action x: authenticate first"),
    (r"does not know you", "the bus does not know you any more"),
    (r"\bis already so\b|\ball the same\b", "It would not start, force creates it all the same"),
    (r"\bhas not (the|an?|\d+) ", "the signature's salt has not 48 bytes"),
    (r", which is tried again", "Its state could not be saved, which is tried again: x"),
    (r"\bforbids to\b", "--no-activate forbids to start it"),
    (r"\bhas the names\b|\bits last words\b", "the list of instances has the names"),
    (r"does not start, ", "The service does not start, x has failed"),
    (r"\btells? (of|no)\b", "the kernel does not tell of available memory"),
)


def without_comments(text):
    """C without its comments, line by line where it was."""
    return re.sub(r"/\*.*?\*/", lambda found: re.sub(r"[^\n]", " ", found[0]), text, flags=re.S)


def of_c(text):
    """(line, literal): what stands in a row is one; names of formats part it."""
    text = without_comments(text)
    for found in re.finditer(rf"{LITERAL}(?:\s+{LITERAL})*", text):
        words = "".join(one[1:-1] for one in re.findall(LITERAL, found[0]))
        yield text.count("\n", 0, found.start()) + 1, words.replace('\\"', '"')


def of_xml(text):
    """(line, paragraph) of the documentation in comments."""
    for found in re.finditer(r"<!--(.*?)-->", text, re.S):
        yield text.count("\n", 0, found.start()) + 1, " ".join(found[1].split())


def sentences():
    """(place, sentence) of all that is longer than two words."""
    for folder, pattern, read in (("service", "**/*.[ch]", of_c), ("cli", "*.[ch]", of_c),
                                  ("dbus-interfaces", "*.[ch]", of_c),
                                  ("dbus-interfaces", "*.xml", of_xml)):
        for path in sorted((SOURCE / folder).glob(pattern)):
            for line, text in read(path.read_text(encoding="utf-8")):
                if text.count(" ") >= 2:
                    yield f"{pathlib.Path(path).relative_to(SOURCE)}:{line}", text


def b150_plain_english():
    """no sentence of service, shim or command line has an expression that nobody understood"""
    found = list(sentences())
    tap.check(len(found) > 1000, f"only {len(found)} sentences were read")
    for folder in ("service/launch/shim/", "service/tee/", "cli/", "dbus-interfaces/org."):
        tap.check(any(place.startswith(folder) for place, _ in found), f"none of {folder}")
    for expression, example in BANNED:
        tap.check(re.search(expression, example), f"{expression} does not find its example")
    bad = [f"{place}: {text!r} ({expression})" for place, text in found
           for expression, _ in BANNED if re.search(expression, text)]
    tap.equal(bad, [], "sentences to be written again")


if __name__ == "__main__":
    sys.exit(tap.run([b150_plain_english]))
