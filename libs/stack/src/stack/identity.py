"""Which user a child runs as; PostgreSQL refuses to run as root.

Leaves starting it to `process`.
"""

import contextlib
import ctypes
import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypedDict

from stack.errors import RefusedError

_CLONE_NEWUSER = 0x10000000
_UNPRIVILEGED = "nobody"
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


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
            _enter_namespace(os.getuid(), os.getgid())


def not_root(folder: Path, programs: Path) -> Identity:
    """Return a user other than root that can keep its data in `folder` and run what is in `programs`.

    A folder with data stays with its owner. A new one goes to `nobody` where that user can reach both folders, for then
    a server that is broken into owns nothing else; and to the caller in a user namespace where it cannot.
    Raises RefusedError where neither works.
    """
    if os.geteuid() != 0:
        return Identity()
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


def _enter_namespace(uid: int, gid: int) -> None:
    """Move this process into a user namespace where it is an ordinary user (user_namespaces(7))."""
    if _LIBC is None or _LIBC.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER)")
    inside = 1000
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{inside} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{inside} {gid} 1")


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
