#!/usr/bin/env bash
# Prepare everything that `make demo` and `make test` need, and do nothing where nothing changed.
#
#   .venv            Python environment; on top of ROS's own packages when ROS is sourced, else with ROS 2 wheels
#   build/ install/  the workspace, built by colcon
#   .setup/env.sh    source it: gives a shell all of the above
#
# PYTHON=python3.12 chooses an interpreter (3.10 to 3.13); TDDFA_EXTRAS="training model" installs more (torch; hri: the
# messages of ROS4HRI); TDDFA_SETUP_VERBOSE=1 shows what the tools say.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$root"
state=.setup
log=$state/setup.log
venv=$root/.venv
mkdir -p "$state"

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Run a command with its output in the log; on failure show the end of the log and one sentence.
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

# Two set-ups of one tree at a time would trample on each other.
if command -v flock >/dev/null; then
  exec 9>"$state/lock"
  flock -n 9 || { say "waiting for another set-up of this tree"; flock 9; }
fi

# --- which ROS -------------------------------------------------------------------------------------------------
# A ROS installation counts as sourced when it is not the wheels that this script itself put on the paths.
ros_mode() { [ -n "${ROS_DISTRO:-}" ] && [ -n "${AMENT_PREFIX_PATH:-}" ] && [ "${TDDFA_ENV:-}" != wheels ]; }

version_ok() { # prints "3.11 /path/of/the/interpreter" for a usable one, seen through an active virtual environment
  "$1" -c 'import sys
assert (3, 10) <= sys.version_info[:2] <= (3, 13)
print("%d.%d" % sys.version_info[:2], getattr(sys, "_base_executable", sys.executable))' 2>/dev/null
}

choose_python() {
  local candidate
  if [ -n "${PYTHON:-}" ]; then
    version_ok "$PYTHON" || die "PYTHON=$PYTHON is not a Python between 3.10 and 3.13."
    return
  fi
  if ros_mode; then
    for candidate in python3 /usr/bin/python3; do
      if "$candidate" -c 'import rclpy' 2>/dev/null; then version_ok "$candidate" && return; fi
    done
    die "ROS $ROS_DISTRO is sourced, but no python3 between 3.10 and 3.13 can import its rclpy; install ros-$ROS_DISTRO-rclpy."
  fi
  for candidate in python3 python3.12 python3.11 python3.13 python3.10 /usr/bin/python3; do
    version_ok "$candidate" && return
  done
  die "Python between 3.10 and 3.13 is needed and none was found; install one, for example: sudo apt install python3 python3-venv."
}

PATH=$(printf %s "$PATH" | tr ':' '\n' | grep -vxF -e "$venv/bin" | paste -sd: -)

need_compiler() { # INTERPRETER: what building the messages needs and pip cannot bring
  local include
  if ! command -v "${CXX:-c++}" >/dev/null || ! command -v "${CC:-cc}" >/dev/null; then
    die "A C and C++ compiler is needed to build the messages and none was found; install one, for example: sudo apt install g++."
  fi
  include=$("$1" -c 'import sysconfig; print(sysconfig.get_path("include"))')
  [ -f "$include/Python.h" ] ||
    die "Python.h of Python $python_version is missing; install it, for example: sudo apt install python$python_version-dev."
}

if ros_mode; then
  kind="ros-$ROS_DISTRO"
else
  kind=wheels
  # Leftovers of an environment that this script wrote earlier must not leak into the new one.
  unset PYTHONPATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH ROS_DISTRO _ROS_WHEELS_BOOTSTRAP_COMPLETE
  unset LD_LIBRARY_PATH VIRTUAL_ENV
fi

# --- 1 the environment -----------------------------------------------------------------------------------------
python_version_and_path=$(choose_python) || exit 1
python_version=${python_version_and_path%% *}
python=${python_version_and_path#* }
environment_key=$(printf '%s\n' "$root" "$kind" "$python" "$python_version" | digest)
py=$venv/bin/python

if [ "$kind" = wheels ] && [ "$(uname -sm)" != "Linux x86_64" ]; then
  die "ROS 2 wheels exist only for Linux on x86-64, this is $(uname -sm): source a ROS 2 installation first."
fi

if ! stamped environment "$environment_key" || ! "$py" -c '' 2>/dev/null; then
  : >"$log"
  say "Python $python_version ($python), $([ "$kind" = wheels ] && echo "ROS 2 from wheels" || echo "ROS $ROS_DISTRO as sourced") -> .venv"
  "$python" -c 'import ensurepip, venv' 2>/dev/null ||
    die "$python has no venv module; install it, for example: sudo apt install python$python_version-venv."
  need_compiler "$python" # now rather than after minutes of downloads
  rm -rf "$venv" build install log "$state"/*.stamp
  options=()
  [ "$kind" = wheels ] || options=(--system-site-packages)
  quietly "The virtual environment could not be made." "$python" -m venv "${options[@]}" "$venv"
  stamp environment "$environment_key"
fi

# --- 2 what is installed in it ---------------------------------------------------------------------------------
files=(requirements/base.txt requirements/toolbox.txt requirements/dev.txt)
[ "$kind" = wheels ] && files+=(requirements/wheels.txt)
# Extras stay once they are installed, so that a plain `make test` afterwards does not take them away again.
for extra in $(printf '%s\n' ${TDDFA_EXTRAS:-} $(cat "$state/extras" 2>/dev/null) | sort -u); do
  [ -f "requirements/$extra.txt" ] || die "There is no extra '$extra'; there are cluster, docs, hri, model and training."
  case " ${files[*]} " in *"/$extra.txt "*) ;; *) files+=("requirements/$extra.txt") ;; esac
done
requirements_key=$({ printf '%s\n' "$environment_key"; cat "${files[@]}" scripts/wheels/patch_cmake_paths.py "$0"; } | digest)

install_requirements() {
  local list=$state/requirements.txt constraints=$state/constraints.txt
  cat "${files[@]}" >"$list"
  : >"$constraints"
  if [ "$kind" != wheels ]; then
    # ROS's own extension modules were compiled against its NumPy: stay on that side of version 2, and keep its OpenCV.
    if "$py" -c 'import numpy; assert numpy.__version__ < "2"' 2>/dev/null; then echo 'numpy<2' >"$constraints"; fi
    if "$py" -c 'import cv2' 2>/dev/null; then sed -i.bak '/^opencv-python/d' "$list"; fi
    if ! "$py" -c 'import colcon_core' 2>/dev/null; then
      printf '%s\n' 'colcon-common-extensions' 'setuptools>=61,<80' >>"$list"
    fi
  fi
  quietly "Installing the Python packages failed; is there a network connection?" \
    "$py" -m pip install --disable-pip-version-check --progress-bar off -r "$list" -c "$constraints"
  if [ "$kind" = wheels ]; then quietly "The ROS wheels could not be adapted." "$py" scripts/wheels/patch_cmake_paths.py; fi
}

if ! stamped requirements "$requirements_key"; then
  say "installing Python packages$([ "$kind" = wheels ] && echo " and ROS 2 Kilted") (a minute or two the first time)"
  install_requirements
  stamp requirements "$requirements_key"
  if [ -n "${TDDFA_EXTRAS:-}" ]; then
    printf '%s\n' ${TDDFA_EXTRAS} $(cat "$state/extras" 2>/dev/null) | sort -u >"$state/extras.new"
    mv "$state/extras.new" "$state/extras"
  fi
fi

# --- 3 the workspace -------------------------------------------------------------------------------------------
packages=(. tddfa_msgs)
lacks() { # PACKAGE: whether the ROS here does not have it; what was built here before does not count
  [ "$kind" = wheels ] || ! "$py" -c "import sys
sys.path = [path for path in sys.path if not path.startswith('$root/install/')]
import $1" 2>/dev/null
}
if lacks tf2_msgs; then packages+=(scripts/wheels/tf2_msgs); fi
case " ${files[*]} " in *" requirements/hri.txt "*) if lacks hri_msgs; then packages+=(scripts/wheels/hri_msgs); fi ;; esac

# Python code is linked, not copied, so only what colcon writes down itself asks for a new build.
workspace_key=$({
  printf '%s\n' "$requirements_key" "${packages[@]}"
  find config launch models resource tddfa_ros/__init__.py -type f -print | LC_ALL=C sort
  find tddfa_msgs scripts/wheels/*_msgs package.xml setup.py setup.cfg -type f -print0 | LC_ALL=C sort -z | xargs -0 cat
} | digest)

need_build_tools() {
  need_compiler "$py"
  if ! command -v cmake >/dev/null && [ ! -x "$venv/bin/cmake" ]; then
    say "no CMake here: taking it from its wheel"
    quietly "CMake is missing and could not be installed; install it, for example: sudo apt install cmake." \
      "$py" -m pip install --disable-pip-version-check --progress-bar off 'cmake>=3.22,<4'
  fi
  if ! command -v ninja >/dev/null && ! command -v make >/dev/null && [ ! -x "$venv/bin/ninja" ]; then
    say "neither make nor Ninja here: taking Ninja from its wheel"
    quietly "make and Ninja are missing and could not be installed; install one, for example: sudo apt install ninja-build." \
      "$py" -m pip install --disable-pip-version-check --progress-bar off ninja
  fi
}

build_workspace() {
  local PATH=$venv/bin:$PATH
  export PATH
  if command -v ninja >/dev/null; then export CMAKE_GENERATOR=Ninja; fi
  if [ "$kind" = wheels ]; then export AMENT_PREFIX_PATH=$venv CMAKE_PREFIX_PATH=$venv; fi
  # A linked file that is no longer in the tree leaves a link to nowhere, over which setuptools stumbles.
  if [ -d build ]; then find build -xtype l -delete; fi
  quietly "Building the workspace failed; 'make clean' and another try may help." \
    "$py" -m colcon --log-base log build --symlink-install --base-paths "${packages[@]}" \
    --build-base build --install-base install --event-handlers console_direct- console_cohesion+ \
    --cmake-args "-DPython3_EXECUTABLE=$py" -DPython3_FIND_VIRTUALENV=ONLY -DBUILD_TESTING=OFF -DCMAKE_BUILD_TYPE=Release
}

if ! stamped workspace "$workspace_key" || [ ! -d install ] || [ ! -d build ]; then
  need_build_tools
  say "building the workspace with colcon"
  build_workspace
  stamp workspace "$workspace_key"
  rm -f "$state/env.sh"
fi

# Loops that Numba compiles are kept beside their source; a first frame should not have to wait for that.
compiled_key=$({ printf '%s\n' "$requirements_key"; cat tddfa_ros/rendering/raster_compiled.py; } | digest)
if ! stamped compiled "$compiled_key"; then
  quietly "Compiling the rasteriser failed." "$py" -c \
    'from tddfa_ros.rendering.raster_compiled import compiled_kernels, has_compiler; has_compiler() and compiled_kernels()'
  stamp compiled "$compiled_key"
fi

# --- 4 the shell environment -----------------------------------------------------------------------------------
if [ ! -f "$state/env.sh" ] || [ scripts/write_env.sh -nt "$state/env.sh" ]; then
  bash scripts/write_env.sh "$root" "$kind" "$python_version" >"$state/env.sh.new"
  mv "$state/env.sh.new" "$state/env.sh"
  say "ready: . .setup/env.sh"
fi
