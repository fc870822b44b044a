#!/usr/bin/env bash
# Set up the environment of `make demo` and `make test`; steps whose inputs did not change are skipped.
#
#   .venv            Python environment: with system site packages if ROS is sourced, else with ROS 2 wheels
#   build/ install/  the colcon workspace
#   .setup/env.sh    source it to use the above in a shell
#
# ROS_DISTRO=jazzy selects the wheels of ROS 2 Jazzy instead of Kilted. They have a separate environment (.venv-jazzy,
# workspace in .setup/jazzy), so switching rebuilds nothing; .setup/env.sh is that of the last setup.
# PYTHON=python3.12 selects the interpreter (3.10 to 3.13); TDDFA_EXTRAS="training model" installs extras (torch; hri: the
# messages of ROS4HRI); TDDFA_SETUP_VERBOSE=1 shows the output of all tools. `scripts/setup.sh --which` prints the
# interpreter that setup would use, and exits.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$root"
mkdir -p .setup

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Run a command with its output in the log; on failure print the end of the log and one sentence.
quietly() {
  local sentence=$1; shift
  if [ "${TDDFA_SETUP_VERBOSE:-}" = 1 ]; then
    "$@" || die "$sentence"
  else
    printf '+ %s\n' "$*" >>"$log"
    "$@" >>"$log" 2>&1 </dev/null || { tail -n 25 "$log" >&2; die "$sentence (whole output: $log)"; }
  fi
}

digest() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -c1-16; }
stamped() { [ -f "$state/$1.stamp" ] && [ "$(cat "$state/$1.stamp")" = "$2" ]; }
stamp() { printf '%s\n' "$2" >"$state/$1.stamp"; }

# Only one setup per tree at a time.
if command -v flock >/dev/null; then
  exec 9>.setup/flock
  flock -n 9 || { say "waiting for another setup of this tree"; flock 9; }
fi

# --- which ROS -------------------------------------------------------------------------------------------------
# A ROS installation counts as sourced unless it consists of the wheels that this script put on the paths.
ros_mode() { [ -n "${ROS_DISTRO:-}" ] && [ -n "${AMENT_PREFIX_PATH:-}" ] && [ "${TDDFA_ENV%%-*}" != wheels ]; }
TDDFA_ENV=${TDDFA_ENV:-}
distro=${ROS_DISTRO:-kilted}
pythons="3.10 3.11 3.12 3.13" workspace=$root venv=$root/.venv state=.setup

if ros_mode; then
  kind=ros-$distro
else
  kind=wheels-$distro
  [ "$(uname -sm)" = "Linux x86_64" ] ||
    die "ROS 2 wheels exist only for Linux on x86-64, this is $(uname -sm): source a ROS 2 installation first."
  [ -f "requirements/wheels/$distro.txt" ] ||
    die "ROS_DISTRO is $distro, but no ROS is sourced and there are wheels for $(basename -s .txt -a requirements/wheels/*.txt | paste -sd' ') only: source /opt/ros/$distro/setup.bash, or unset ROS_DISTRO."
  pythons=$(basename -s .txt -a "requirements/lock/$distro"-*.txt | sed 's/.*-//' | paste -sd' ')
  if [ "$distro" != kilted ]; then venv=$root/.venv-$distro state=.setup/$distro workspace=$root/.setup/$distro; fi
  # Variables of an environment that this script wrote earlier must not leak into the new one.
  unset PYTHONPATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH ROS_DISTRO _ROS_WHEELS_BOOTSTRAP_COMPLETE
  unset LD_LIBRARY_PATH VIRTUAL_ENV
fi
from_wheels() { [ "${kind%%-*}" = wheels ]; }
log=$state/setup.log
mkdir -p "$state"

# --- which Python ----------------------------------------------------------------------------------------------
version_ok() { # prints "3.11 /path/of/the/interpreter" for a usable one, seen through an active virtual environment
  "$1" -c 'import sys
version = "%d.%d" % sys.version_info[:2]
assert version in sys.argv[1].split()
print(version, getattr(sys, "_base_executable", sys.executable))' "$pythons" 2>/dev/null
}

choose_python() {
  local candidate version any="one of $pythons"
  [ "$pythons" = "${pythons% *}" ] && any=$pythons
  if [ -n "${PYTHON:-}" ]; then
    version_ok "$PYTHON" || die "PYTHON=$PYTHON is no Python that ROS 2 $distro can have here; it needs $any."
    return
  fi
  if ! from_wheels; then
    for candidate in python3 /usr/bin/python3; do
      if "$candidate" -c 'import rclpy' 2>/dev/null; then version_ok "$candidate" && return; fi
    done
    die "ROS $distro is sourced, but no python3 between 3.10 and 3.13 can import its rclpy; install ros-$distro-rclpy."
  fi
  for candidate in python3 python3.12 python3.11 python3.13 python3.10 /usr/bin/python3; do
    version_ok "$candidate" && return
  done
  # pyenv puts only active interpreters on the path.
  for version in 3.12 3.11 3.13 3.10; do
    for candidate in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version".*/bin/python3; do
      version_ok "$candidate" && return
    done
  done
  version=${pythons##* }
  die "ROS 2 $distro's wheels need Python $any and none was found; install one, for example: sudo apt install python$version python$version-venv python$version-dev."
}

PATH=$(printf %s "$PATH" | tr ':' '\n' | awk -v own="$root/.venv" 'index($0, own) != 1' | paste -sd: -)

need_compiler() { # INTERPRETER: check for what the messages need to build and pip cannot install
  local include
  if ! command -v "${CXX:-c++}" >/dev/null || ! command -v "${CC:-cc}" >/dev/null; then
    die "A C and C++ compiler is needed to build the messages and none was found; install one, for example: sudo apt install g++."
  fi
  include=$("$1" -c 'import sysconfig; print(sysconfig.get_path("include"))')
  [ -f "$include/Python.h" ] ||
    die "Python.h of Python $python_version is missing; install it, for example: sudo apt install python$python_version-dev."
}

if [ "${1:-}" = --which ]; then
  chosen=$(choose_python) || exit 1
  python_version=${chosen%% *}
  need_compiler "${chosen#* }"
  printf '%s\n' "$chosen"
  exit
fi

# --- 1 the environment -----------------------------------------------------------------------------------------
python_version_and_path=$(choose_python) || exit 1
python_version=${python_version_and_path%% *}
python=${python_version_and_path#* }
environment_key=$(printf '%s\n' "$root" "$kind" "$python" "$python_version" | digest)
py=$venv/bin/python

if ! stamped environment "$environment_key" || ! "$py" -c '' 2>/dev/null; then
  : >"$log"
  say "Python $python_version ($python), ROS 2 ${distro^} $(from_wheels && echo "from wheels" || echo "as sourced") -> ${venv#"$root/"}"
  "$python" -c 'import ensurepip, venv' 2>/dev/null ||
    die "$python has no venv module; install it, for example: sudo apt install python$python_version-venv."
  need_compiler "$python" # fail before minutes of downloads
  rm -rf "$venv" "$workspace"/{build,install,log} "$state"/*.stamp
  options=()
  from_wheels || options=(--system-site-packages)
  quietly "The virtual environment could not be made." "$python" -m venv "${options[@]}" "$venv"
  stamp environment "$environment_key"
fi

# --- 2 what is installed in it ---------------------------------------------------------------------------------
files=(requirements/base.txt requirements/toolbox.txt requirements/dev.txt)
inputs=(requirements/lock/torch.txt scripts/wheels/patch_cmake_paths.py scripts/locked.py "$0")
if from_wheels; then
  lock=requirements/lock/$distro-$python_version.txt
  files+=("requirements/wheels/$distro.txt")
  inputs+=("$lock")
fi
# Installed extras are kept, so that a later `make test` without TDDFA_EXTRAS does not remove them.
for extra in $(printf '%s\n' ${TDDFA_EXTRAS:-} $(cat "$state/extras" 2>/dev/null) | sort -u); do
  [ -f "requirements/$extra.txt" ] || die "There is no extra '$extra'; there are cluster, docs, hri, model and training."
  case " ${files[*]} " in *"/$extra.txt "*) ;; *) files+=("requirements/$extra.txt") ;; esac
done
requirements_key=$({ printf '%s\n' "$environment_key"; cat "${files[@]}" "${inputs[@]}"; } | digest)

pip_install() { quietly "$1" "$py" -m pip install --disable-pip-version-check --progress-bar off "${@:2}"; }

# SENTENCE FILE...: install the packages of requirement files; print the sentence on failure.
install_locked() { # exactly those of the lock, each with its hash
  local sentence=$1 list=$state/requirements.txt constraints=$state/constraints.txt
  shift
  "$py" scripts/locked.py "$lock" "$@" >"$list" || exit 1
  pip_install "$sentence" --no-deps --require-hashes -r "$list"
  if grep -h '^torch' "$@" >"$list"; then
    "$py" scripts/locked.py --versions "$lock" >"$constraints"
    pip_install "$sentence" -r "$list" -c "$constraints" -c requirements/lock/torch.txt
  fi
}

install_beside_ros() { # versions that are compatible with those of ROS
  local sentence=$1 list=$state/requirements.txt constraints=$state/constraints.txt
  shift
  cat "$@" >"$list"
  cat requirements/lock/torch.txt >"$constraints"
  # ROS's extension modules are compiled against its NumPy: keep NumPy 1 if ROS has it, and keep ROS's OpenCV.
  if "$py" -c 'import numpy; assert numpy.__version__ < "2"' 2>/dev/null; then echo 'numpy<2' >>"$constraints"; fi
  if "$py" -c 'import cv2' 2>/dev/null; then sed -i.bak '/^opencv-python/d' "$list"; fi
  if ! "$py" -c 'import colcon_core' 2>/dev/null; then
    printf '%s\n' 'colcon-common-extensions' 'setuptools>=61,<80' >>"$list"
  fi
  pip_install "$sentence" -r "$list" -c "$constraints"
}

install_files() { if from_wheels; then install_locked "$@"; else install_beside_ros "$@"; fi; }

if ! stamped requirements "$requirements_key"; then
  say "installing Python packages$(from_wheels && echo " and ROS 2 ${distro^}") (a minute or two the first time)"
  install_files "Installing the Python packages failed; is there a network connection?" "${files[@]}"
  if from_wheels; then quietly "The ROS wheels could not be adapted." "$py" scripts/wheels/patch_cmake_paths.py; fi
  stamp requirements "$requirements_key"
  if [ -n "${TDDFA_EXTRAS:-}" ]; then
    printf '%s\n' ${TDDFA_EXTRAS} $(cat "$state/extras" 2>/dev/null) | sort -u >"$state/extras.new"
    mv "$state/extras.new" "$state/extras"
  fi
fi

# --- 3 the workspace -------------------------------------------------------------------------------------------
packages=(. tddfa_msgs)
lacks() { # PACKAGE: whether the ROS installation does not have it; earlier builds of this workspace do not count
  from_wheels || ! "$py" -c "import sys
sys.path = [path for path in sys.path if not path.startswith('$workspace/install/')]
import $1" 2>/dev/null
}
if lacks tf2_msgs; then packages+=(scripts/wheels/tf2_msgs); fi
case " ${files[*]} " in *" requirements/hri.txt "*) if lacks hri_msgs; then packages+=(scripts/wheels/hri_msgs); fi ;; esac

# Python code is symlinked, so only files that colcon copies or generates require a new build.
workspace_key=$({
  printf '%s\n' "$requirements_key" "${packages[@]}"
  find config launch models resource tddfa_ros/__init__.py -type f -print | LC_ALL=C sort
  find tddfa_msgs scripts/wheels/*_msgs package.xml setup.py setup.cfg tddfa_ros/version.py -type f -print0 | LC_ALL=C sort -z | xargs -0 cat
} | digest)

need_build_tools() {
  local tools=() maker
  need_compiler "$py"
  if ! command -v cmake >/dev/null && [ ! -x "$venv/bin/cmake" ]; then tools+=(CMake); fi
  for maker in ninja make "$venv/bin/ninja"; do command -v "$maker" >/dev/null && break; done || tools+=(Ninja)
  if [ ${#tools[@]} -gt 0 ]; then
    say "no ${tools[*]} here: taking CMake and Ninja from their wheels"
    install_files "CMake and Ninja could not be installed; install them, for example: sudo apt install cmake ninja-build." \
      requirements/build.txt
  fi
}

build_workspace() {
  local PATH=$venv/bin:$PATH
  export PATH
  if command -v ninja >/dev/null; then export CMAKE_GENERATOR=Ninja; fi
  if from_wheels; then export AMENT_PREFIX_PATH=$venv CMAKE_PREFIX_PATH=$venv; fi
  # Remove dangling links to deleted files, on which setuptools fails.
  if [ -d "$workspace/build" ]; then find "$workspace/build" -xtype l -delete; fi
  quietly "Building the workspace failed; 'make clean' and another try may help." \
    "$py" -m colcon --log-base "$workspace/log" build --symlink-install --base-paths "${packages[@]}" \
    --build-base "$workspace/build" --install-base "$workspace/install" --event-handlers console_direct- console_cohesion+ \
    --cmake-args "-DPython3_EXECUTABLE=$py" -DPython3_FIND_VIRTUALENV=ONLY -DBUILD_TESTING=OFF -DCMAKE_BUILD_TYPE=Release
}

if ! stamped workspace "$workspace_key" || [ ! -d "$workspace/install" ] || [ ! -d "$workspace/build" ]; then
  need_build_tools
  say "building the workspace with colcon"
  build_workspace
  stamp workspace "$workspace_key"
  rm -f "$state/$kind.sh"
fi

# Compile the Numba kernels now, so that the first frame does not wait for it.
compiled_key=$({ printf '%s\n' "$requirements_key"; cat tddfa_ros/rendering/raster_compiled.py; } | digest)
if ! stamped compiled "$compiled_key"; then
  quietly "Compiling the rasterizer failed." "$py" -c \
    'from tddfa_ros.rendering.raster_compiled import compiled_kernels, has_compiler; has_compiler() and compiled_kernels()'
  stamp compiled "$compiled_key"
fi

# --- 4 the shell environment -----------------------------------------------------------------------------------
environment=$state/$kind.sh
if [ ! -f "$environment" ] || [ scripts/write_env.sh -nt "$environment" ]; then
  bash scripts/write_env.sh "$root" "$kind" "$python_version" "$venv" "$workspace" >"$environment.new"
  mv "$environment.new" "$environment"
fi
if ! cmp -s "$environment" .setup/env.sh; then
  cp "$environment" .setup/env.sh.new
  mv .setup/env.sh.new .setup/env.sh
  say "ready: . .setup/env.sh"
fi
