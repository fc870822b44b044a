#!/usr/bin/env bash
# Print the shell environment of the workspace; for scripts/setup.sh.
#   write_env.sh ROOT KIND PYTHON_VERSION       KIND: "wheels" or "ros-<distro>"
set -euo pipefail
root=$1 kind=$2 python_version=$3
site=lib/python$python_version/site-packages

cat <<HEAD
# Written by scripts/setup.sh. Source it:  . .setup/env.sh
_tddfa_prepend() { # NAME DIRECTORY: put it in front, unless it is there already
  eval "_tddfa_old=\\"\\\${\$1:-}\\""
  case ":\$_tddfa_old:" in
    *":\$2:"*) ;;
    *) eval "export \$1=\\"\\\$2\\\${_tddfa_old:+:\\\$_tddfa_old}\\"" ;;
  esac
}
HEAD

if [ "$kind" != wheels ]; then
  distro=${kind#ros-}
  echo "[ -n \"\${ROS_DISTRO:-}\" ] || . \"${ROS_SETUP:-/opt/ros/$distro}/setup.sh\""
fi
echo "export TDDFA_ENV='$kind' TDDFA_ROOT='$root' VIRTUAL_ENV='$root/.venv'"

prepend() { printf "_tddfa_prepend %s '%s'\n" "$1" "$2"; }

if [ "$kind" = wheels ]; then
  # With the library path already here the wheels need not start every Python program a second time.
  prepend LD_LIBRARY_PATH "$root/.venv/lib"
  for libraries in "$root/.venv/$site"/ros_*.libs; do
    if [ -d "$libraries" ]; then prepend LD_LIBRARY_PATH "$libraries"; fi
  done
  echo "export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1"
  prepend AMENT_PREFIX_PATH "$root/.venv"
fi

prepend PATH "$root/.venv/bin"
for package in "$root"/install/*/; do
  package=${package%/}
  if [ ! -d "$package/share" ]; then continue; fi
  prepend AMENT_PREFIX_PATH "$package"
  prepend CMAKE_PREFIX_PATH "$package"
  if ls "$package"/lib/*.so >/dev/null 2>&1; then prepend LD_LIBRARY_PATH "$package/lib"; fi
  for packages in "$package"/lib/python3*/site-packages "$package"/local/lib/python3*/dist-packages; do
    if [ -d "$packages" ]; then prepend PYTHONPATH "$packages"; fi
  done
done
prepend PYTHONPATH "$root/build/tddfa_ros"
prepend PATH "$root/install/tddfa_ros/lib/tddfa_ros"

case $kind in # the variable has another name since Fast DDS 3
  ros-humble | ros-iron | ros-jazzy) variable=FASTRTPS_DEFAULT_PROFILES_FILE ;;
  *) variable=FASTDDS_DEFAULT_PROFILES_FILE ;;
esac
profile=$root/config/fastdds.xml
shared_memory_kb=$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $2 }')
if [ "${shared_memory_kb:-0}" -lt 262144 ]; then
  # A container's usual 64 MB hold one such segment; smaller ones still carry 640x480 for a handful of processes.
  sed 's|<segment_size>[0-9]*<|<segment_size>6291456<|' "$profile" >"$root/.setup/fastdds.xml"
  profile=$root/.setup/fastdds.xml
fi
cat <<TAIL
# Raw images need larger shared-memory segments than Fast DDS's default.
export $variable="\${$variable:-$profile}"
unset -f _tddfa_prepend
unset _tddfa_old
TAIL
