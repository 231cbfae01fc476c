"""Confines a process that decodes hostile bytes.

Afterwards the process can compute, and read and write the files that it has open, and nothing else. `chassis.lifecycle` hides
the service's memory from it. Needs Linux and libseccomp.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EPERM
# All that Pillow and Python call once their modules are loaded (found by strace, for each format). Without open, socket,
# clone, fork, execve, kill, tgkill, ptrace, ioctl and everything that Linux adds later.
_SYSTEM_CALLS = """
read write lseek close mmap munmap mprotect mremap brk madvise futex getrandom clock_gettime gettimeofday
getpid gettid rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall exit exit_group
"""

# Landlock's system calls have these numbers on every architecture.
_CREATE_RULESET, _RESTRICT_SELF = 444, 446
_GET_VERSION = 1
# By ABI version, the number of file rights that it knows; see linux/landlock.h.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_LAST_FILE_RIGHTS = 16
_NET_ABI, _SCOPE_ABI = 4, 6
_TCP, _SIGNALS_AND_SOCKETS = 0b11, 0b11


class CageError(Exception):
    """This system cannot confine a process."""


class _Ruleset(ctypes.Structure):
    """struct landlock_ruleset_attr."""

    _fields_ = [("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


def confine(*, memory_bytes: int, cpu_seconds: int, file_bytes: int) -> int:
    """Confine this process for good; returns the version of Landlock's ABI, 0 where the kernel has none. Raises `CageError`.

    Exceeding `cpu_seconds` raises SIGXCPU, five seconds later SIGKILL. The process also dies with its parent. Seccomp alone
    refuses every way out; Landlock is a second wall behind it.
    """
    libc = _libc()
    _check(libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 5))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    seccomp, rules = _system_calls()
    abi = landlock_abi()
    if abi:
        _restrict_files_and_network(libc, abi)
    _check(seccomp.seccomp_load(rules))
    return abi


def landlock_abi() -> int:
    """The version of Landlock's ABI that this kernel has; 0 for none."""
    return max(0, int(_libc().syscall(_CREATE_RULESET, None, 0, _GET_VERSION)))


def _restrict_files_and_network(libc: ctypes.CDLL, abi: int) -> None:
    """Handle every right that this ABI knows, and grant none."""
    rules = _Ruleset(files=(1 << _FILE_RIGHTS.get(abi, _LAST_FILE_RIGHTS)) - 1)
    size = 8
    if abi >= _NET_ABI:
        rules.net, size = _TCP, 16
    if abi >= _SCOPE_ABI:
        rules.scoped, size = _SIGNALS_AND_SOCKETS, 24
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.byref(rules), size, 0)
    _check(ruleset)
    _check(libc.syscall(_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def _system_calls() -> tuple[ctypes.CDLL, ctypes.c_void_p]:
    """Libseccomp, and a filter that refuses all but `_SYSTEM_CALLS` with EPERM."""
    try:
        seccomp = ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        raise CageError("libseccomp is not installed") from error
    seccomp.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(seccomp.seccomp_init(_REFUSE))
    for name in _SYSTEM_CALLS.split():
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # negative: this architecture has no such call
            _check(seccomp.seccomp_rule_add_array(rules, _ALLOW, number, 0, None))
    return seccomp, rules


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result < 0:
        raise CageError(os.strerror(ctypes.get_errno() or -result))
