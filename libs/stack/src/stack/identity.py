"""Which user a child runs as; PostgreSQL refuses to run as root.

Leaves starting it to `process`.
"""

import contextlib
import ctypes
import os
import pwd
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypedDict

from stack.errors import RefusedError

_CLONE_NEWUSER = 0x10000000
_UNPRIVILEGED = "nobody"
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@cache
def _nobody() -> tuple[int, int]:
    """The number of the unprivileged user, and of its group."""
    try:
        found = pwd.getpwnam(_UNPRIVILEGED)
    except KeyError:  # then any number is as good
        return 1000, 1000
    return found.pw_uid, found.pw_gid


class UserOptions(TypedDict, total=False):
    """The arguments of subprocess.Popen that change the user."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Identity:
    """A user to run as; by default whoever runs the stack."""

    uid: int | None = None
    """Change to this user and its primary group (needs root)."""
    namespace: bool = False
    """Keep the user, under another number, in a user namespace: it is not root to itself, and its files stay its own."""
    inside: tuple[int, int] = field(default_factory=_nobody)
    """That number and its group's: initdb wants a user whom the machine knows. Looked up here, not between fork and exec."""

    def options(self) -> UserOptions:
        """Return the arguments of subprocess.Popen that change the user."""
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": pwd.getpwuid(self.uid).pw_gid, "extra_groups": []}

    def own(self, path: Path | int) -> None:
        """Give a path, or an open descriptor, to this user."""
        if self.uid is not None:
            os.chown(path, self.uid, pwd.getpwuid(self.uid).pw_gid)

    def enter(self) -> None:
        """Finish the change inside the child, between fork and exec. Raises OSError."""
        if self.namespace:
            _enter_namespace(self.inside)


def not_root(folder: Path, programs: Path) -> Identity:
    """Return a user other than root that can keep its data in `folder` and run what is in `programs`.

    A folder with data stays with its owner. A new one goes to `nobody` where that user can reach both folders, for then
    a server that is broken into owns nothing else; and to the caller in a user namespace where it cannot. A caller other
    than root keeps it, in a namespace where the machine has no name for them, as in many containers: initdb wants one.
    Raises RefusedError where neither works.
    """
    if os.geteuid() != 0:
        return Identity(namespace=not _known(os.geteuid()) and _namespaces_allowed())
    owner = folder.stat().st_uid if folder.exists() and any(folder.iterdir()) else None
    if owner is None and _reachable_by_nobody(folder.parent) and _reachable_by_nobody(programs):
        owner = pwd.getpwnam(_UNPRIVILEGED).pw_uid
    if owner:
        return Identity(uid=owner)
    if _namespaces_allowed():
        return Identity(namespace=True)
    raise RefusedError(
        f"PostgreSQL does not run as root, and the user {_UNPRIVILEGED} cannot reach {folder} or {programs}: "
        "run as another user, work below a folder that every user can traverse, "
        "or set HUBBUB_MESSAGES_DATABASE_URL and HUBBUB_MEDIA_DATABASE_URL to a server of your own."
    )


def _enter_namespace(inside: tuple[int, int]) -> None:
    """Move this process into a user namespace where it is this user and group (user_namespaces(7))."""
    outside = os.getuid(), os.getgid()
    if _LIBC is None or _LIBC.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER)")
    Path("/proc/self/setgroups").write_text("deny")
    for name, inner, outer in zip(("uid_map", "gid_map"), inside, outside, strict=True):
        Path(f"/proc/self/{name}").write_text(f"{inner} {outer} 1")


def _known(uid: int) -> bool:
    """Tell whether the machine has a name for a user."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


@cache
def _namespaces_allowed() -> bool:
    """Tell whether this machine lets us make a user namespace; many containers do not."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        enter = Identity(namespace=True).enter
        done = subprocess.run(["/bin/true"], preexec_fn=enter, check=False, timeout=10)
        return done.returncode == 0
    return False


def _reachable_by_nobody(folder: Path) -> bool:
    """Ask the kernel itself: access lists and mount options would fool a look at mode bits."""
    nobody = Identity(uid=pwd.getpwnam(_UNPRIVILEGED).pw_uid)
    check = ["/bin/sh", "-c", 'test -x "$1"/.', "sh", str(folder)]
    return subprocess.run(check, check=False, timeout=10, cwd="/", **nobody.options()).returncode == 0
