#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bash, zsh and fish themselves complete kickmsgctl: verbs, a verb's options, the topics of a broker that runs, and files.

bash gets keystrokes at a terminal, with the script read by eval and nothing else loaded. So does zsh, with the script also
where a package puts it (found by compinit). fish answers `complete -C`.

    shells.py SHELL KICKMSGCTL KICKMSGD
"""
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

# A line up to the tab key; words that the line or the list of completions must have then; words that it must not have.
CASES = (
    ("ech", ["echo"], ["evict"]),
    ("re", ["record", "reclaim", "reload", "repair", "reset-rings", "recover"], ["list"]),
    ("echo --hi", ["--history"], ["--hex"]),
    ("echo --pre", ["--prefix"], []),
    ("list --sor", ["--sort"], []),
    ("status --soc", ["--socket"], []),
    ("info kickmsg:fra", ["kickmsg:frames"], ["kickmsg:other"]),
    ("info --json kickmsg:fra", ["kickmsg:frames"], []),
    ("echo kickmsg:a", ["kickmsg:a%20b"], []),
    ("info fra", ["frames"], ["other"]),
    ("hz --json oth", ["other"], ["frames"]),
    ("echo lab:fra", ["lab:frames"], ["kickmsg:frames"]),
    ("help rec", ["record", "reclaim", "recover"], []),
    ("play recor", ["recording.mcap"], []),
    ("pub --file recor", ["recording.mcap"], []),
)
SECONDS = 60


class Terminal:
    """An interactive shell at a terminal of its own, with no file of the user's."""

    def __init__(self, directory, argv):
        environment = dict(os.environ, HOME=directory, ZDOTDIR=directory, TERM="dumb")
        self.shell = argv[0]
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            os.execvpe(argv[0], argv, environment)
        self.said = ""

    def type(self, text):
        os.write(self.terminal, text.encode())

    def wait_for(self, pattern):
        ends = time.monotonic() + SECONDS
        while not re.search(pattern, self.said, re.S):
            ready, _, _ = select.select([self.terminal], [], [], max(ends - time.monotonic(), 0))
            if not ready:
                raise TimeoutError(f"{self.shell} doesn't say {pattern}, but: {self.said}")
            self.said += os.read(self.terminal, 65536).decode(errors="replace")

    def complete(self, line):
        """Presses the tab key. Returns the list of completions and the line."""
        self.said = ""
        self.type(f"kickmsgctl {line}\t\x18\x02")
        self.wait_for(r"<<.*>>")
        return self.said

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)


class Bash(Terminal):
    def __init__(self, directory):
        super().__init__(directory, ["bash", "--norc", "--noprofile", "-i"])
        # ^X^B prints the line and empties it
        self.type("PS1= PS2=; bind 'set show-all-if-ambiguous on' 'set page-completions off' 'set bell-style none'\n"
                  'source <(kickmsgctl completion bash)\n'
                  "say() { echo \"<<$READLINE_LINE>>\"; READLINE_LINE=; }; bind -x '\"\\C-x\\C-b\": say'\n"
                  "echo ready | tr a-z A-Z\n")
        self.wait_for("READY")


class Zsh(Terminal):
    def __init__(self, directory, setup):
        super().__init__(directory, ["zsh", "-f", "-i"])
        # ^X^B prints the line and empties it
        self.type("PS1= PS2= RPS1=; unsetopt zle_bracketed_paste prompt_sp prompt_cr; setopt no_list_beep; LISTMAX=0\n"
                  "fpath=(%s $fpath); autoload -Uz compinit; compinit -u -D\n%s\n"
                  "say() { print -r -- \"<<$BUFFER>>\"; BUFFER= }; zle -N say; bindkey '^X^B' say\n"
                  "print ready | tr a-z A-Z\n" % (directory, setup))
        self.wait_for("READY")

class Fish:
    def __init__(self, directory, script):
        self.directory, self.script = directory, script

    def complete(self, line):
        environment = dict(os.environ, HOME=self.directory, XDG_CONFIG_HOME=self.directory, XDG_DATA_HOME=self.directory)
        return subprocess.run(["fish", "--no-config", "-c", 'source $argv[1]; complete -C $argv[2]', self.script,
                               f"kickmsgctl {line}"], cwd=self.directory, env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=SECONDS).stdout

    def end(self):
        pass


def check(how, shell):
    bad = 0
    try:
        for line, these, not_these in CASES:
            said = shell.complete(line)
            # zsh leaves the line as it was typed if it shows a list
            words = set(re.split(r"[\s<>\t]+", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", " ", said.replace("\\", "").replace("\x07", " "))))
            missing = [word for word in these if word not in words]
            if missing or [word for word in not_these if word in words]:
                bad += 1
                print(f"{how}: kickmsgctl {line}<TAB> has no {missing}: {said!r}")
    finally:
        shell.end()
    return bad


def start_broker(kickmsgd, kickmsgctl, socket, processes):
    processes.append(subprocess.Popen([kickmsgd, "--socket", socket], stderr=subprocess.DEVNULL))
    for name in ("frames", "other", "a%20b", "lab:frames"):
        processes.append(subprocess.Popen([kickmsgctl, "--wait", "pub", name, "--stdin-lines"], stdin=subprocess.PIPE))
        os.write(processes[-1].stdin.fileno(), b"x\n")  # its first message makes the topic
    ends = time.monotonic() + SECONDS
    while subprocess.run([kickmsgctl, "list", "--no-legend", "-o", "name"], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL).stdout.count(b"\n") != 4:
        assert time.monotonic() < ends, "the topics don't come"
        time.sleep(0.05)


def main():
    shell, kickmsgctl, kickmsgd = sys.argv[1:]
    if not shutil.which(shell):
        print(f"skipped: no {shell}")
        return 77
    processes = []
    directory = tempfile.mkdtemp(prefix="kickmsg-shell-")
    try:
        os.environ["KICKMSG_SOCKET"] = os.path.join(directory, "sock")
        os.mkdir(os.path.join(directory, "bin"))
        os.symlink(kickmsgctl, os.path.join(directory, "bin", "kickmsgctl"))
        os.environ["PATH"] = os.path.join(directory, "bin") + ":" + os.environ["PATH"]
        start_broker(kickmsgd, kickmsgctl, os.environ["KICKMSG_SOCKET"], processes)
        open(os.path.join(directory, "recording.mcap"), "w").close()
        script = os.path.join(directory, "_kickmsgctl")
        with open(script, "w") as file:
            subprocess.run([kickmsgctl, "completion", shell], stdout=file, check=True)
        if shell == "bash":
            return check("bash", Bash(directory)) != 0
        if shell == "fish":
            return check("fish", Fish(directory, script)) != 0
        bad = check("zsh, installed", Zsh(directory, ""))
        os.rename(script, os.path.join(directory, "another-name"))
        return bad + check("zsh, by eval", Zsh(directory, 'eval "$(kickmsgctl completion zsh)"')) != 0
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()
            if process.stdin:
                process.stdin.close()
        shutil.rmtree(directory)


sys.exit(main())
