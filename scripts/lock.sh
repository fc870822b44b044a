#!/usr/bin/env bash
# Write the lock files requirements/lock/<distro>-<python>.txt: version and hashes of every package that `make setup` can
# install with ROS 2 from wheels. Run it after a change in requirements/, or to upgrade:
#
#   scripts/lock.sh             # keep the locked versions wherever the requirement files allow them
#   scripts/lock.sh --upgrade   # upgrade all packages; -P NAME upgrades one
#
# Needs a network connection and uv; installs uv into .setup/lock if it is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

uv=$(command -v uv || true)
if [ -z "$uv" ]; then
  uv=$PWD/.setup/lock/bin/uv
  [ -x "$uv" ] || { python3 -m venv .setup/lock && .setup/lock/bin/python -m pip install --quiet uv; }
fi

common=()
for name in base toolbox dev build cluster docs model training; do common+=("requirements/$name.txt"); done

overrides=$(mktemp)
trap 'rm -f "$overrides"' EXIT
echo "torch ; sys_platform == 'never'" >"$overrides" # requirements/lock/torch.txt says why

for target in kilted-3.10 kilted-3.11 kilted-3.12 kilted-3.13 jazzy-3.12; do
  lock=requirements/lock/$target.txt
  # Lock files must not depend on this machine: no index URL, no wheel folder, no command line.
  UV_PYTHON_DOWNLOADS=never "$uv" --no-config pip compile --quiet --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
    --python-version "${target#*-}" --python-platform x86_64-manylinux_2_28 --override "$overrides" \
    "${common[@]}" "requirements/wheels/${target%-*}.txt" --output-file "$lock" "$@" >/dev/null
  echo "$lock: $(grep -c '^[^ ].*==' "$lock") packages"
done
