#!/usr/bin/env bash
# Write requirements/lock/<distro>-<python>.txt: one version and the hashes of every package that `make setup` can install
# where ROS 2 comes from wheels. Run it after a change in requirements/, or to take newer releases:
#
#   scripts/lock.sh             # keep the versions of the locks wherever the requirement files still allow them
#   scripts/lock.sh --upgrade   # take the newest releases; -P NAME only that package's
#
# Needs a network and uv, which it installs into .setup/lock where there is none.
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
  # Nothing in a lock may tell where it was made: no index, no folder of wheels, no command line.
  UV_PYTHON_DOWNLOADS=never "$uv" --no-config pip compile --quiet --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
    --python-version "${target#*-}" --python-platform x86_64-manylinux_2_28 --override "$overrides" \
    "${common[@]}" "requirements/wheels/${target%-*}.txt" --output-file "$lock" "$@" >/dev/null
  echo "$lock: $(grep -c '^[^ ].*==' "$lock") packages"
done
