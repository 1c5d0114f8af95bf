# Shared by setup, demo and test: where things are, how the scripts speak, how they build.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build/release
libtorch_version=2.11.0
libtorch_home=${XDG_CACHE_HOME:-${HOME:?}/.cache}/banyan/libtorch-$libtorch_version
script=${0##*/}

say() { printf '%s: %s\n' "$script" "$*" >&2; }

# 3 is what every program of Banyan says about a machine that is not fit.
fail() { say "$@"; exit 3; }

# quietly LOG COMMAND…: the output goes to LOG and is shown only when the command fails.
quietly() {
  local log=$1; shift
  mkdir -p "${log%/*}"
  "$@" >"$log" 2>&1 </dev/null || { cat "$log" >&2; return 1; }
}

# The torch folder that builds use.
libtorch_root() { printf '%s\n' "${LIBTORCH_ROOT:-$libtorch_home/torch}"; }

# A compiler with LibTorch's headers takes up to 1.5 GB, so memory may be scarcer than cores.
jobs() {
  local by_memory by_cores
  by_memory=$(awk '/^MemAvailable/ {print int($2 / 1500000)}' /proc/meminfo)
  by_cores=$(nproc)
  printf '%s\n' $((by_memory < 1 ? 1 : by_memory < by_cores ? by_memory : by_cores))
}

configure() {
  quietly "$build/logs/configure.log" cmake -S "$root" --preset release -DLIBTORCH_ROOT="$(libtorch_root)" "$@" \
    || fail "cmake could not configure $build; the reason stands above"
}

# build_targets TARGET…: on a terminal ninja keeps one line of progress; elsewhere there is one line in all.
build_targets() {
  local ninja=(ninja -C "$build" -j "$(jobs)")
  if "${ninja[@]}" -n "$@" | grep -q 'no work to do'; then return; fi
  say "building $* in ${build#"$root/"} (the first time takes minutes)"
  if [ -t 2 ]; then
    "${ninja[@]}" "$@" >&2 || fail "the build failed; the reason stands above"
  else
    quietly "$build/logs/build.log" "${ninja[@]}" "$@" || fail "the build failed; the reason stands above"
  fi
}
