#!/usr/bin/env bash
# bundle_test.sh BUILD: installs from the build folder BUILD, moves the result away and runs it there.
set -euo pipefail
. "$(dirname "$0")/claims.sh"
build=$1
libtorch=$(sed -n 's/^LIBTORCH_ROOT:[A-Z]*=//p' "$build/CMakeCache.txt")

cmake --install "$build" --prefix "$scratch/first" >"$scratch/install.log" || { cat "$scratch/install.log"; exit 1; }
mkdir "$scratch/moved here"
mv "$scratch/first" "$scratch/moved here/banyan"
bundle="$scratch/moved here/banyan"
ln -s "$bundle/bin/banyan" "$scratch/link"

# An empty environment but for what is named; the Python there knows no torch.
mkdir "$scratch/bin"
ln -s "$(command -v false)" "$scratch/bin/python3"
bare() { env -i PATH="$scratch/bin:/usr/bin:/bin" HOME="$scratch" "$@"; }
loads_from() { LD_LIBRARY_PATH=$libtorch/lib ldd "$bundle/libexec/banyan" | grep -E "^\s*$1" | grep -qF "=> $2"; }

claim "a bundle runs from wherever it is put" ends_with 0 bare LIBTORCH_ROOT="$libtorch" "$bundle/bin/banyan" --help
claim "a bundle runs through a symbolic link" ends_with 0 bare LIBTORCH_ROOT="$libtorch" "$scratch/link" --help
claim "what Debian ships comes from the bundle" loads_from libboost_program_options "$bundle/libexec/../lib/"
claim "LibTorch comes from the wheel" loads_from libtorch_cpu "$libtorch/lib/"
claim "the bundle holds no LibTorch" test -z "$(find "$bundle" -name 'libtorch*' -o -name 'libc10*' -o -name 'libcud*')"

mkdir -p "$scratch/.cache/banyan/libtorch-2.11.0"
ln -s "$libtorch" "$scratch/.cache/banyan/libtorch-2.11.0/torch"
claim "what setup installed is found" ends_with 0 bare "$bundle/bin/banyan" --help
claim "another cache folder is respected" ends_with 3 bare XDG_CACHE_HOME=/nowhere "$bundle/bin/banyan" --help
claim "without LibTorch one line says what to do" says "$scratch/out" "^banyan: no LibTorch 2.11.0 was found; .*python3 -m venv '$bundle/torch' && '$bundle/torch/bin/pip' install torch==2.11.0"
mkdir -p "$bundle/torch/lib/python3.11/site-packages"
ln -s "$libtorch" "$bundle/torch/lib/python3.11/site-packages/torch"
claim "the bundle's own virtual environment is found" \
  ends_with 0 bare XDG_CACHE_HOME=/nowhere "$bundle/bin/banyan" --help
rm -r "$bundle/torch"
claim "the torch of Python is found" \
  ends_with 0 bare PATH=/usr/bin:/bin XDG_CACHE_HOME=/nowhere PYTHONPATH="${libtorch%/*}" "$bundle/bin/banyan" --help
mkdir -p "$scratch/old/torch/lib"
touch "$scratch/old/torch/lib/libtorch_cpu.so"; echo "__version__ = '2.1.0'" >"$scratch/old/torch/version.py"
claim "another version is refused" ends_with 3 bare LIBTORCH_ROOT="$scratch/old/torch" "$bundle/bin/banyan" --help
if grep -q '^cudart=.' "$bundle/bin/banyan"; then
  sed 's/^cudart=.*/cudart=libcudart.so.0/' "$bundle/bin/banyan" >"$bundle/bin/lacking"
  claim "without the CUDA runtime one line says what to do" \
    ends_with 3 bare LIBTORCH_ROOT="$libtorch" sh "$bundle/bin/lacking" --help
  claim "and names it" says "$scratch/out" "^lacking: libcudart.so.0 was not found beside .*pip' install"
fi
claim "the bundle's model solves the bundle's problems" ends_with 0 bare LIBTORCH_ROOT="$libtorch" \
  "$bundle/bin/banyan" solve --quiet --problems "$bundle/share/banyan/models/demo-problems.json"
finish
