#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The worst kinds of unreadable prose, in comments, papers, man pages and the journal's catalog:

- a sentence of more than 30 words;
- a sentence that begins with "Who" or "What" and is no question, or a comment that begins with "who": its subject has
  no name;
- a comment, or a paragraph of a paper, that begins with a word for something above it ("It", "They", "The same",
  "Likewise", "In one"), or refers to it ("as above"): it is understood with the line above alone;
- a comment that goes on where another one has ended ("And", "But", "Else", "Then"), or begins with "Of" and not with
  the thing that it is about;
- a comment behind code that is longer than 50 characters, or for which the formatter breaks a declaration: it stands
  above its line.

Of Python and scripts, comments and documentation strings are read for the length of sentences and for words that point
to another line.

Pictures, tables, code, and lists of errors ("-EINVAL a name that is empty; ...") are no sentences.

    words.py SOURCE_ROOT
"""
import os
import re
import sys

WORDS, TRAILING = 30, 50
NAMELESS = re.compile(r"(Who|What|[Ww]hoever|Whatever|Whom|Whose)\b")
FIRST = re.compile(r"(who|whoever)\b")
POINTING = re.compile(r"(it|its|they|those|that|the same|the opposite|the other way round|likewise|ditto|in one)\b", re.I)
JOINING = re.compile(r"(and|but|or|nor|else|then)\b(?!')", re.I)  # "or'ed" is a verb
OF = re.compile(r"of\b", re.I)
ABOVE = re.compile(r"\b(as|the|one|ones) (above|below)\b")


def comments(text):
    """(line, text, whether code stands before it) of each comment of a C source; strings are passed over."""
    token = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/', re.S)
    for match in token.finditer(text):
        if match.group().startswith("/*"):
            start = text.rfind("\n", 0, match.start()) + 1
            yield text.count("\n", 0, start) + 1, match.group(), text[start:match.start()].strip() != ""


# "uint64_t", and on the next line "head; /* ... */": the name had room behind its type but for the comment
BROKEN = re.compile(r"^[ \t]*(?:(?:static|const|volatile|struct|enum|unsigned|_Atomic|_Alignas\([^)]*\)) +)*\w+ ?\**"
                    r"\n[ \t]+\**\w+(?:\[[^]]*\])?(?: = [^;\n]*)?; */\*", re.M)


def comment_lines(comment):
    lines = comment[2:-2].split("\n")
    return [lines[0].lstrip("*").strip()] + [re.sub(r"^\s*\* ?", "", line) for line in lines[1:]]


def is_picture(line):
    return re.match(r"\s{2,}\S|\t", line) or re.search(r"\S {3,}\S|-->|==|\+--", line)


def paragraphs(lines, is_other):
    """(offset of its first line, text) of each paragraph and each item of a list."""
    start, words = 0, []
    for i, line in enumerate(lines + [""]):
        item = re.match(r"\s*([-*]|\d+\.) +(.*)", line)
        if words and (not line.strip() or item or is_other(line)):
            yield start, " ".join(words)
            words = []
        if not line.strip() or (not item and is_other(line)):
            continue
        if not words:
            start = i
        words.append(item.group(2) if item else line.strip())
    # what is left was ended by the empty line that is added


def sentences(text):
    # an error's name and its reason are an entry of a list
    text = re.sub(r"(?<![\w-])-E[A-Z]{3,}[^;.]*", "", text)
    return [part for part in re.split(r"(?<=[.:;?!])[\"')*_]*\s+", text) if part]


def complaints(text):
    if FIRST.match(text):
        yield f"a comment without a named subject: {text}"
    for sentence in sentences(text):
        count = len(sentence.split())
        if count > WORDS:
            yield f"a sentence of {count} words: {sentence}"
        label = sentence.endswith(":") and count <= 4
        if NAMELESS.match(sentence.lstrip("*_\"'(")) and not sentence.endswith("?") and not label:
            yield f"a sentence without a named subject: {sentence}"


def of_source(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for match in BROKEN.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, f"a comment breaks a declaration: {match.group().strip()}"
    for line, comment, trails in comments(text):
        lines = comment_lines(comment)
        whole = " ".join(" ".join(lines).split())
        if not trails and POINTING.match(whole) or ABOVE.search(whole):
            yield line, f"a comment that needs the line above it: {whole[:100]}"
        if not trails and JOINING.match(whole):
            yield line, f"a comment that goes on with another one: {whole[:100]}"
        if not trails and OF.match(whole):
            yield line, f"a comment that doesn't begin with what it is about: {whole[:100]}"
        if trails and len(" ".join(lines)) > TRAILING:
            yield line, f"a comment of {len(' '.join(lines))} characters behind code: {' '.join(lines)}"
        for offset, paragraph in paragraphs(lines, is_picture):
            for complaint in complaints(paragraph):
                yield line + offset, complaint


def of_script(path):
    """Comments that are lines of their own, and documentation strings."""
    def is_other(line):
        return is_picture(line) or re.match(r"[!|:>$]|usage:|SPDX", line.strip())

    with open(path, encoding="utf-8") as file:
        text = file.read()
    prose = re.compile(r'''(?:^[ \t]*#[^\n]*\n)+|(?<=\n)[ \t]*(?:r?"""(?:.*?)""")''' if path.endswith(".py")
                       else r"(?:^[ \t]*#[^\n]*\n)+", re.S | re.M)
    for match in prose.finditer(text):
        found = match.group().strip().strip('"')
        lines = [re.sub(r"^\s*#? ?", "", line) if match.group().lstrip()[0] == "#" else line.rstrip()
                 for line in found.split("\n")]
        line = text.count("\n", 0, match.start()) + 1
        if POINTING.match(" ".join(lines).strip()):
            yield line, f"a comment that needs the line above it: {' '.join(lines).strip()[:100]}"
        if JOINING.match(" ".join(lines).strip()):
            yield line, f"a comment that goes on with another one: {' '.join(lines).strip()[:100]}"
        for offset, paragraph in paragraphs(lines, is_other):
            for complaint in complaints(paragraph):
                if "sentence without a named" not in complaint:  # a documentation string may be a name
                    yield line + offset, complaint


def of_paper(path):
    def is_other(line):
        return re.match(r"[|#:\[<]|```", line) or re.match(r"(Subject|Defined-By|Documentation|--)", line)

    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    code, prose = False, []
    for line in lines:
        fence = line.startswith("```")
        code = code != fence
        prose.append("" if code or fence or re.match(r"(int|void|const|ssize_t|uint\w+) \*", line) else line.strip())
    for offset, paragraph in paragraphs(prose, is_other):
        if POINTING.match(paragraph):
            yield offset + 1, f"a paragraph that needs the one above it: {paragraph[:100]}"
        for complaint in complaints(paragraph):
            yield offset + 1, complaint


def main():
    os.chdir(sys.argv[1])
    bad = seen = 0
    for folder in ("common", "libclient", "daemon", "ctl", "examples", "tests", "python", "debian", "docs", "man",
                   "systemd", "."):
        for parent, folders, files in os.walk(folder):
            if folder == ".":
                folders.clear()
            for name in sorted(files):
                path = os.path.join(parent, name)
                if name.endswith((".c", ".h", ".hpp", ".cc")):
                    found = of_source(path)
                elif name.endswith((".md", ".scd", ".catalog")):
                    found = of_paper(path)
                elif name.endswith((".py", ".pyi", ".sh")) or name in ("kickstart", "rules", "postinst", "postrm"):
                    found = of_script(path)
                else:
                    continue
                seen += 1
                for line, complaint in found:
                    print(f"{path}:{line}: {complaint}")
                    bad += 1
    assert seen > 200, f"only {seen} files seen: this check is broken"
    if bad:
        print(f"{bad} places in {seen} files")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
