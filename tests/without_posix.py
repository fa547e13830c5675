"""Take away what Python on Windows lacks, then do as ``motionsynth ARGUMENTS``, once for each part between ``--then``.

    python tests/without_posix.py ARGUMENTS [--then ARGUMENTS]...

Windows itself is not here: this shows that nothing of POSIX is needed, not that nothing else is amiss there. What torch
needs to be imported on Linux stays (``os.register_at_fork``).
"""

from __future__ import annotations

import os
import select
import signal
import sys

MODULES = ("fcntl", "grp", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty")
SYSTEM = """
    O_CLOEXEC O_DIRECTORY O_NOCTTY O_NOFOLLOW O_NONBLOCK O_SYNC chown fchmod fchown fork forkpty getegid geteuid getgid
    getgroups getloadavg getpgid getpgrp getpriority getsid getuid killpg lchown mkfifo mknod nice posix_fadvise
    posix_fallocate posix_spawn pread preadv pwrite pwritev sched_getaffinity sched_setaffinity sched_yield sendfile
    setpgid setpriority setsid statvfs sync sysconf ttyname wait3 wait4 waitid
"""
SIGNALS = """
    SIGALRM SIGBUS SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 alarm pthread_kill
    pthread_sigmask setitimer sigpending sigwait
"""


def take_away() -> None:
    """Make Python as poor as on Windows."""
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    for module, names in ((os, SYSTEM), (signal, SIGNALS), (select, "poll epoll")):
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)
    os.environ.setdefault("USERNAME", "user")  # Windows always has it, and getpass needs pwd without it


def main() -> int:
    """Run the commands until one fails."""
    take_away()
    from motionsynth.cli.app import run

    parts: list[list[str]] = [[]]
    for word in sys.argv[1:]:
        parts[-1].append(word) if word != "--then" else parts.append([])
    for part in parts:
        sys.argv = ["motionsynth", *part]
        try:
            run()
        except SystemExit as left:
            if left.code:
                return int(left.code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
