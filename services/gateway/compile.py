"""Compiles the gateway's hot modules with mypyc, for `gateway.compiled` to load: `python services/gateway/compile.py [PYTHON]`.

Optional: where it fails it says so and leaves nothing behind, and the gateway runs its sources; without a C compiler that is no
error. PYTHON is one that has what the gateway imports, this one unless given. Types are checked by `make types`; here they only
have to be known.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

GATEWAY = Path(__file__).parent.resolve()
ROOT = GATEWAY.parent.parent
SOURCES = [GATEWAY / "src", *(ROOT / "libs" / name / "src" for name in ("bus", "chassis", "sendmany"))]
STUBS = ROOT / "protos/gen/python"
OPTIONS = (
    "--config-file=",
    "--explicit-package-bases",
    "--namespace-packages",
    "--ignore-missing-imports",
    "--disable-error-code=import-untyped",  # stubs that are not installed, as in an image's build
)
sys.path[:0] = map(str, SOURCES)

from gateway.compiled import FOLDER, GROUP, MADE_OF, MODULES, current, digest  # noqa: E402 - of this very tree


def _source(module: str) -> Path:
    return next(file for folder in SOURCES if (file := folder / f"{module.replace('.', '/')}.py").is_file())


def _compiler() -> str:
    return str(sysconfig.get_config_var("CC") or "cc").split()[0]


def build(folder: Path, interpreter: str) -> None:
    """Compile into `folder`; ends the process where that fails."""
    from mypyc.build import mypycify  # noqa: PLC0415 - may be missing
    from setuptools import setup  # noqa: PLC0415 - as above

    files = [str(_source(module)) for module in MODULES]
    options = [*OPTIONS, f"--python-executable={interpreter}", *files]
    extensions = mypycify(options, group_name=GROUP, target_dir=str(folder / "c"), debug_level="0")
    arguments = ["build_ext", "--build-lib", str(folder / "lib"), "--build-temp", str(folder / "objects")]
    setup(name=GROUP, ext_modules=extensions, script_args=arguments)


def compile_all(interpreter: str) -> None:
    """Compile and put each where it is looked for, unless that has been done. Ends the process where a compiler fails."""
    if current():
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "MYPYPATH": os.pathsep.join(map(str, [*SOURCES, STUBS]))}
        command = [sys.executable, __file__, folder, interpreter]
        done = subprocess.run(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode:
            said = "\n  ".join(done.stdout.splitlines()[-3:])
            sys.stderr.write(f"The gateway's modules are not compiled, and it is slower:\n  {said}\n")
            sys.exit(1 if shutil.which(_compiler()) else 0)
        FOLDER.mkdir()
        made = Path(folder, "lib")
        for file in made.rglob("*.so"):
            name = ".".join([*file.relative_to(made).parts[:-1], file.name.partition(".")[0]])
            shutil.copy(file, FOLDER / f"{name}.so")
        MADE_OF.write_text(digest())


if __name__ == "__main__":
    match sys.argv[1:]:
        case [folder, interpreter]:  # by itself, in a process of its own
            build(Path(folder), interpreter)
        case [interpreter]:
            compile_all(interpreter)
        case _:
            compile_all(sys.executable)
