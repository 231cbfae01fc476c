"""The operating-system user of a child process. PostgreSQL refuses to run as root."""

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
    """Return the uid and gid of the unprivileged user."""
    try:
        found = pwd.getpwnam(_UNPRIVILEGED)
    except KeyError:  # any other number will do
        return 1000, 1000
    return found.pw_uid, found.pw_gid


class UserOptions(TypedDict, total=False):
    """The arguments of subprocess.Popen that change the user."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Identity:
    """A user to run as; by default the user who runs the stack."""

    uid: int | None = None
    """Change to this user and its primary group (needs root)."""
    namespace: bool = False
    """Run in a user namespace as another uid. The process does not see itself as root, and its files keep their owner."""
    inside: tuple[int, int] = field(default_factory=_nobody)
    """The uid and gid in the namespace. initdb requires a uid with a name. Looked up here, not between fork and exec."""

    def options(self) -> UserOptions:
        """Return the arguments of subprocess.Popen that change the user."""
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": pwd.getpwuid(self.uid).pw_gid, "extra_groups": []}

    def own(self, path: Path | int) -> None:
        """Change the owner of a path or an open descriptor to this user."""
        if self.uid is not None:
            os.chown(path, self.uid, pwd.getpwuid(self.uid).pw_gid)

    def enter(self) -> None:
        """Enter the namespace in the child, between fork and exec. Raises OSError."""
        if self.namespace:
            _enter_namespace(self.inside)


def not_root(folder: Path, programs: Path) -> Identity:
    """Return a user other than root that can keep its data in `folder` and run the programs in `programs`.

    Run by root: a folder with data keeps its owner. A new folder goes to the user `nobody` if that user can reach both folders,
    so that a compromised server owns nothing else. Otherwise the server runs as root's uid in a user namespace.
    Run by another user: the server runs as that user, in a namespace if the uid has no name, as in many containers.
    Raises RefusedError if none of these works.
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
        "run as another user, use a folder that every user can traverse, "
        "or set HUBBUB_MESSAGES_DATABASE_URL and HUBBUB_MEDIA_DATABASE_URL to a server of your own."
    )


def _enter_namespace(inside: tuple[int, int]) -> None:
    """Move this process into a user namespace in which it has this uid and gid (user_namespaces(7))."""
    outside = os.getuid(), os.getgid()
    if _LIBC is None or _LIBC.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER)")
    Path("/proc/self/setgroups").write_text("deny")
    for name, inner, outer in zip(("uid_map", "gid_map"), inside, outside, strict=True):
        Path(f"/proc/self/{name}").write_text(f"{inner} {outer} 1")


def _known(uid: int) -> bool:
    """Return whether the uid has a name on this machine."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


@cache
def _namespaces_allowed() -> bool:
    """Return whether this machine allows user namespaces. Many containers do not."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        enter = Identity(namespace=True).enter
        done = subprocess.run(["/bin/true"], preexec_fn=enter, check=False, timeout=10)
        return done.returncode == 0
    return False


def _reachable_by_nobody(folder: Path) -> bool:
    """Return whether `nobody` can reach a folder. Mode bits would not show access lists and mount options."""
    nobody = Identity(uid=pwd.getpwnam(_UNPRIVILEGED).pw_uid)
    check = ["/bin/sh", "-c", 'test -x "$1"/.', "sh", str(folder)]
    return subprocess.run(check, check=False, timeout=10, cwd="/", **nobody.options()).returncode == 0
