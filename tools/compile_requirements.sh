#!/bin/sh
# Pin the two requirement files. CUDA's own packages are left to torch, which pins them exactly:
# so the same file installs a CPU build or another CUDA version (see the Makefile's TORCH).
set -eu
uv=${1:-uv}
compile() {
  "$uv" pip compile --quiet "$1.in" -o "$1.txt" --upgrade --universal --python-version 3.11 --no-header --no-annotate
  grep -vE '^(cuda-|nvidia-|triton==)' "$1.txt" >"$1.txt.partial"
  mv "$1.txt.partial" "$1.txt"
}
compile requirements
compile requirements-dev
