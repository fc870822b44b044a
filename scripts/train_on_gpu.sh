#!/usr/bin/env bash
# Train the regressor on a machine with a GPU from one small file.
#
#   tddfa dataset pack --cache CACHE --output faces.npz          # on the machine with the data: at most 60 MB
#   scripts/train_on_gpu.sh faces.npz RUN [OPTION of tddfa train ...]
#
# Writes RUN/checkpoint.pt, the logs and RUN/regressor.onnx. Rerun the same command to resume. The recipe is config/training/gpu.yaml (ten
# minutes); options such as `--minutes 30` override it. Environment variables:
#   DEVICE=cpu     train without a GPU; default: cuda
#   INIT=NAME      initial weights; default: tddfa-mb05; empty: from scratch
#   MODEL=FILE     morphable model; default: tddfa-head
set -euo pipefail
if [ $# -lt 2 ]; then
  echo "usage: $0 PACKED.npz RUN [OPTION of tddfa train ...]" >&2
  exit 2
fi
root=$(cd "$(dirname "$0")/.." && pwd)
packed=$1 run=$2
shift 2
python=${PYTHON:-python3}
device=${DEVICE:-cuda} model=${MODEL:-tddfa-head} init=${INIT-tddfa-mb05}
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
mkdir -p "$run"
if [ ! -f "$run/cache/labels.npz" ]; then
  "$python" -m tddfa_ros dataset unpack --packed "$packed" --output "$run/cache" --morphable-model "$model"
fi
"$python" -m tddfa_ros train --config "$root/config/training/gpu.yaml" --cache "$run/cache" --checkpoint-dir "$run" \
  --device "$device" --morphable-model "$model" ${init:+--init "$init"} "$@"
"$python" -m tddfa_ros export --checkpoint "$run/checkpoint.pt" --cache "$run/cache" --morphable-model "$model" \
  -o "$run/regressor.onnx" --overwrite
