# SPDX-License-Identifier: Apache-2.0
"""Makes kickmsg._native: cffi's API mode over the installed headers.

What the headers declare is read from the headers themselves, so a function or field that comes there is here as well.
The compiler checks each struct, constant and function again.

The headers and the library are those that pkg-config knows as libkickmsg-client. For a build that isn't installed:

    PKG_CONFIG_PATH=BUILD/meson-uninstalled pip install ./python
"""
from __future__ import annotations

import os
import re
import shlex
import subprocess

from cffi import FFI

HEADERS = ("kickmsg.h", "kickmsg-operator.h", "kickmsg-service.h")

# What Python needs besides.
SOURCE = """
#include <kickmsg.h>
#include <kickmsg-operator.h>
#include <kickmsg-service.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * In a child of fork the topics' memory isn't mapped. A view that Python still has of it would end the child at its
 * first use: here such a view gets pages of its own, which read as zeros.
 */
static void cover_hole(const void *address, size_t size)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t begin = (uintptr_t)address & ~(page - 1);
	uintptr_t end = ((uintptr_t)address + size + page - 1) & ~(page - 1);

	for (; begin < end; begin += page)
		mmap((void *)begin, page, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}
"""
DECLARATIONS = """
struct iovec {
	void *iov_base;
	size_t iov_len;
};
void cover_hole(const void *address, size_t size);
extern "Python" void kickmsg_python_event(void *userdata, const struct kickmsg_event *event);
extern "Python" void kickmsg_python_happening(void *userdata, const struct kickmsg_happening *happening);
"""


def pkg_config(*arguments: str) -> list[str]:
    command = [os.environ.get("PKG_CONFIG", "pkg-config"), *arguments, "libkickmsg-client"]
    return shlex.split(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def find_header(name: str, folders: list[str]) -> str:
    for folder in folders:
        path = os.path.join(folder, name)
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                return file.read()
    raise SystemExit(f"{name} is in none of {' '.join(folders)}: is libkickmsg-client-dev installed?")


def without_bodies(text: str) -> str:
    """An inline function is declared as any other."""
    while match := re.search(r"^static inline\b([^;{]*)\{", text, re.M):
        end, depth = match.end(), 1
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        text = text[: match.start()] + match.group(1).strip() + ";" + text[end:]
    return text


def constants(text: str) -> list[str]:
    """A number stays one, since sizes of fields are made of it; the compiler knows the others."""
    found = re.findall(r"^#define (KICKMSG_\w+)[ \t]+(.+)$", text, re.M)
    return [f"#define {name} {value if re.fullmatch(r'[0-9]+', value.strip()) else '...'}"
            for name, value in found if not value.startswith('"')]


def declarations(header: str) -> str:
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    text = re.sub(r"^#ifdef __cplusplus\n.*?^#endif\n", "", text, flags=re.S | re.M)
    text = text.replace("\\\n", " ")
    defined = constants(text)
    text = re.sub(r"^[ \t]*#.*$", "", text, flags=re.M)
    return "\n".join(defined) + without_bodies(text)


ffi = FFI()
ffi.cdef(DECLARATIONS)
folders = [flag[2:] for flag in pkg_config("--cflags-only-I", "--keep-system-cflags") if flag.startswith("-I")]
for header in HEADERS:
    ffi.cdef(declarations(find_header(header, folders)))
ffi.set_source(
    "kickmsg._native", SOURCE,
    include_dirs=folders,
    # a library that lacks a function of the header is refused at the import, not at the call
    extra_link_args=pkg_config("--libs") + ["-Wl,-z,now"],
)

if __name__ == "__main__":
    ffi.compile(verbose=True)
