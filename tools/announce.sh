#!/bin/sh
# Say once, before packages are installed, how much will be downloaded and how to have less of it.
# The sizes were measured on Linux x86-64 with an empty cache, see CONTRIBUTING.md.
set -eu
venv=$1
torch=$2
if [ -e "$venv/installed" ]; then
  echo "Outfold brings its packages in $venv up to date; only what changed is downloaded."
  exit 0
fi
case "$(uname -s):$torch" in
  Linux:) size="about 3.4 GB, nine tenths of it torch with CUDA" ;;
  Linux:cpu) size="about 0.5 GB" ;;
  Linux:*) size="it depends on TORCH=$torch; about 0.5 GB for cpu, 3.4 GB for CUDA" ;;
  *) size="0.3 GB and torch, whose size depends on the system" ;;
esac
echo "Outfold installs its packages into $venv, once. To download: $size."
if [ "$(uname -s):$torch" = Linux: ] && [ ! -e /proc/driver/nvidia/version ] && [ ! -e /dev/dxg ] \
  && ! command -v nvidia-smi >/dev/null; then
  echo "This machine has no NVIDIA driver: make run TORCH=cpu downloads about 0.5 GB instead."
fi
