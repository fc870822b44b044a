#!/usr/bin/env bash
# Print the shell environment of the workspace; for scripts/setup.sh.
#   write_env.sh ROOT KIND PYTHON_VERSION VENV WORKSPACE
# KIND is "wheels-<distro>" or "ros-<distro>"; WORKSPACE is the folder of build/ and install/.
set -euo pipefail
root=$1 kind=$2 python_version=$3 venv=$4 workspace=$5
distro=${kind#*-}
site=lib/python$python_version/site-packages

cat <<HEAD
# Written by scripts/setup.sh. Source it:  . .setup/env.sh
_tddfa_prepend() { # NAME DIRECTORY
  eval "_tddfa_old=\\"\\\${\$1:-}\\""
  eval "export \$1=\\"\\\$2\\\${_tddfa_old:+:\\\$_tddfa_old}\\""
}
_tddfa_remove() { # NAME: remove what an earlier setup of this tree added
  eval "_tddfa_old=\\"\\\${\$1:-}\\""
  case "\$_tddfa_old" in
    *"$root/"*)
      _tddfa_old=\$(printf %s "\$_tddfa_old" | tr ':' '\\n' | awk '
        index(\$0, "$root/.venv") != 1 && index(\$0, "$root/.setup/") != 1 &&
        index(\$0, "$root/build/") != 1 && index(\$0, "$root/install/") != 1' | paste -sd: -)
      if [ -n "\$_tddfa_old" ]; then eval "export \$1=\\"\\\$_tddfa_old\\""; else unset "\$1"; fi
      ;;
  esac
}
for _tddfa_name in PATH PYTHONPATH LD_LIBRARY_PATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH; do
  _tddfa_remove "\$_tddfa_name"
done
HEAD

if [ "${kind%%-*}" = wheels ]; then
  echo "export ROS_DISTRO='$distro'" # the next setup in this shell selects the same wheels
else
  echo "[ -n \"\${ROS_DISTRO:-}\" ] || . \"${ROS_SETUP:-/opt/ros/$distro}/setup.sh\""
fi
echo "export TDDFA_ENV='$kind' TDDFA_ROOT='$root' VIRTUAL_ENV='$venv'"

prepend() { printf "_tddfa_prepend %s '%s'\n" "$1" "$2"; }

if [ "${kind%%-*}" = wheels ]; then
  # With the library path set, the wheels do not re-execute every Python program.
  prepend LD_LIBRARY_PATH "$venv/lib"
  for libraries in "$venv/$site"/ros_*.libs; do
    if [ -d "$libraries" ]; then prepend LD_LIBRARY_PATH "$libraries"; fi
  done
  echo "export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1"
  prepend AMENT_PREFIX_PATH "$venv"
fi

prepend PATH "$venv/bin"
for package in "$workspace"/install/*/; do
  package=${package%/}
  if [ ! -d "$package/share" ]; then continue; fi
  prepend AMENT_PREFIX_PATH "$package"
  prepend CMAKE_PREFIX_PATH "$package"
  if ls "$package"/lib/*.so >/dev/null 2>&1; then prepend LD_LIBRARY_PATH "$package/lib"; fi
  for packages in "$package"/lib/python3*/site-packages "$package"/local/lib/python3*/dist-packages; do
    if [ -d "$packages" ]; then prepend PYTHONPATH "$packages"; fi
  done
done
prepend PYTHONPATH "$workspace/build/tddfa_ros"
prepend PATH "$workspace/install/tddfa_ros/lib/tddfa_ros"

# Fast DDS 3 renamed the variable and warns about the old name once per node, so exactly one is set.
case $distro in
  humble | iron | jazzy) variable=FASTRTPS_DEFAULT_PROFILES_FILE other=FASTDDS_DEFAULT_PROFILES_FILE ;;
  *) variable=FASTDDS_DEFAULT_PROFILES_FILE other=FASTRTPS_DEFAULT_PROFILES_FILE ;;
esac
profile=$root/config/fastdds.xml
shared_memory_kb=$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $2 }')
if [ "${shared_memory_kb:-0}" -lt 262144 ]; then
  # The usual 64 MB of a container hold one segment of this size; smaller segments suffice for 640x480 and a few processes.
  sed 's|<segment_size>[0-9]*<|<segment_size>6291456<|' "$profile" >"$root/.setup/fastdds.xml"
  profile=$root/.setup/fastdds.xml
fi
cat <<TAIL
# Raw images need larger shared-memory segments than Fast DDS's default.
export $variable="\${$variable:-\${$other:-$profile}}"
unset $other
unset -f _tddfa_prepend _tddfa_remove
unset _tddfa_old _tddfa_name
TAIL
