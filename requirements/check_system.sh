#!/bin/sh
# Lists the missing system packages before the installation starts. PYTHON names the interpreter.
set -u
PYTHON="${PYTHON:-python3}"
packages=""

fail() {
  echo "$1" >&2
  exit 1
}

command -v g++ >/dev/null || packages="$packages g++"
command -v cmake >/dev/null || packages="$packages cmake"
if command -v "$PYTHON" >/dev/null; then
  "$PYTHON" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' ||
    fail "$("$PYTHON" --version) is not supported: the pinned wheels exist for Python 3.10 to 3.13. Choose another Python: make PYTHON=python3.12"
  version=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || packages="$packages python$version-venv"
  "$PYTHON" -c 'import pathlib, sys, sysconfig; sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").is_file())' ||
    packages="$packages python$version-dev"
else
  packages="$packages python3 python3-venv python3-dev"
fi
[ -z "$packages" ] || fail "missing packages:$packages. On Debian or Ubuntu: sudo apt install$packages"

version=$(cmake --version | sed -n '1s/[^0-9]*\([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
# shellcheck disable=SC2086
set -- $version
[ "$1" -gt 3 ] || [ "$2" -ge 22 ] || fail "cmake $1.$2 is too old: 3.22 is needed. pip install cmake installs a newer version"
[ "$(uname -m)" = x86_64 ] || fail "$(uname -m): the ROS 2 wheels exist for Linux x86-64 only. With a ROS 2 installation use colcon build"
