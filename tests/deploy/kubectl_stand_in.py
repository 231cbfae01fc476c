"""Replaces kubectl without a cluster: keeps a namespace's phase and its secrets in the folder CLUSTER.

Knows only the commands of identities/hook.sh in the development overlay, and refuses every other.
"""

import os
import shutil
import sys
from pathlib import Path


def main(cluster: Path, arguments: list[str]) -> None:
    """Execute one command. Raises `ValueError` for an unknown one, `FileExistsError` if kubectl would refuse to create."""
    phase, secrets = cluster / "phase", cluster / "secrets"
    match arguments:
        case ["get", "namespace", "hubbub", "--ignore-not-found", "--output=jsonpath={.status.phase}"]:
            sys.stdout.write(phase.read_text() if phase.exists() else "")
        case ["wait", "namespace", "hubbub", "--for=delete", _]:
            phase.unlink()
            shutil.rmtree(secrets)
        case ["create", "namespace", "hubbub", "--save-config"]:
            secrets.mkdir()
            phase.write_text("Active")
        case ["get", "secrets", *names, "--ignore-not-found", "--output=name"]:
            sys.stdout.writelines(f"secret/{name}\n" for name in names if (secrets / name).exists())
        case ["delete", "secrets", *names, "--ignore-not-found"]:
            for name in names:
                shutil.rmtree(secrets / name, ignore_errors=True)
        case ["create", "secret", "generic", name, from_file]:
            (secrets / name).mkdir()
            shutil.copy(from_file.removeprefix("--from-file="), secrets / name)
        case _:
            raise ValueError(" ".join(arguments))


if __name__ == "__main__":
    context, namespace, *rest = sys.argv[1:]
    if (context, namespace) != ("--context=kind", "--namespace=hubbub"):
        raise ValueError(f"{context} {namespace}")
    main(Path(os.environ["CLUSTER"]), rest)
