#!/usr/bin/env bash
# scripts/setup against a pretended machine: stand-ins for dpkg-query, apt-get, id, df and pip.
set -euo pipefail
. "$(dirname "$0")/claims.sh"
root=$(cd "$(dirname "$0")/../.." && pwd)
setup=$root/scripts/setup
bin=$scratch/bin calls=$scratch/calls home=$scratch/home
libtorch=$home/.cache/banyan/libtorch-2.11.0
mkdir -p "$bin" "$home"

stand_in() { { echo '#!/usr/bin/env bash'; echo "state=$scratch"; cat; } >"$bin/$1"; chmod +x "$bin/$1"; }

# A package is installed unless $state/missing names it.
stand_in dpkg-query <<'STUB'
grep -qsx "${!#}" "$state/missing" || echo installed
STUB
# Fails as long as $state/apt-fails has a line, and uses one up for each `install`.
stand_in apt-get <<'STUB'
echo "apt-get $*" >>"$state/calls"
case " $* " in *" install "*) ;; *) exit 0 ;; esac
[ -s "$state/apt-fails" ] || { rm -f "$state/missing"; exit 0; }
head -n 1 "$state/apt-fails"; sed -i 1d "$state/apt-fails"; exit 100
STUB
stand_in df <<'STUB'
printf 'Avail\n99000000\n'
STUB
stand_in id <<'STUB'
cat "$state/uid"
STUB
stand_in python3 <<'STUB'
echo "pip $*" >>"$state/calls"
while [ $# -gt 0 ] && [ "$1" != --target ]; do shift; done
mkdir -p "$2/torch/lib"; touch "$2/torch/lib/libtorch_cpu.so"
[ ! -e "$state/pip-fails" ] || { cat "$state/pip-fails"; exit 1; }
echo "__version__ = '2.11.0+cu130'" >"$2/torch/version.py"
STUB
echo 0 >"$scratch/uid"

run_setup() { env -u LIBTORCH_ROOT -u XDG_CACHE_HOME HOME="$home" PATH="$bin:$PATH" "$@"; }
forget() { rm -rf "$calls" "$scratch"/{missing,apt-fails,pip-fails} "$home/.cache"; }
called() { [ "$(grep -c "^$1" "$calls" 2>/dev/null)" = "$2" ]; }
silent() { [ ! -s "$scratch/out" ]; }

claim "a first setup succeeds" ends_with 0 run_setup "$setup"
claim "LibTorch is in its place" test -e "$libtorch/torch/version.py"
claim "nothing half done is left beside it" test ! -e "$libtorch.partial"
rm -f "$calls"
claim "a second setup succeeds" ends_with 0 run_setup "$setup"
claim "a second setup says nothing" silent
claim "a second setup calls neither apt-get nor pip" test ! -e "$calls"

forget
echo "ERROR: Failed to establish a new connection" >"$scratch/pip-fails"
claim "a failing pip is an unfit machine" ends_with 3 run_setup "$setup"
claim "a failing pip's reason is told" grep -q "^setup: pip failed: no network; " "$scratch/out"
claim "a failing pip leaves no LibTorch" test ! -e "$libtorch" -a ! -e "$libtorch.partial"
rm "$scratch/pip-fails"
claim "setup after a failure succeeds" ends_with 0 run_setup "$setup"

echo mold >"$scratch/missing"; echo "E: 404 Not Found" >"$scratch/apt-fails"; rm -f "$calls"
claim "a list of packages that is old is fetched anew" ends_with 0 run_setup "$setup"
claim "the missing package is asked for once before and once after" called "apt-get.* install .*mold" 2
claim "packages that are there are not asked for" called "apt-get.* install .*cmake" 0

echo mold >"$scratch/missing"; printf 'E: one\nE: You are wrong\n' >"$scratch/apt-fails"
claim "a failing apt-get is an unfit machine" ends_with 3 run_setup "$setup"
claim "a failing apt-get's last word is told" grep -q "^setup: apt-get failed: You are wrong; " "$scratch/out"

echo 1000 >"$scratch/uid"; rm -f "$scratch/apt-fails"
without_sudo=$scratch/without-sudo; mkdir -p "$without_sudo"
for tool in bash cat dirname env grep; do ln -sf "$(command -v "$tool")" "$without_sudo/"; done
claim "without root and sudo setup cannot go on" ends_with 3 run_setup env PATH="$bin:$without_sudo" "$setup"
claim "without root and sudo the command for root is told" grep -q "$scratch/out" -e "^setup: .*as root run: apt-get install mold$"
echo 0 >"$scratch/uid"; rm -f "$scratch/missing"

claim "a LIBTORCH_ROOT that is none is refused" ends_with 3 run_setup env LIBTORCH_ROOT=/nowhere "$setup"
claim "a LIBTORCH_ROOT that is none is named" says "$scratch/out" "^setup: LIBTORCH_ROOT=/nowhere is not .*; correct it or unset it$"
forget
mkdir -p "$scratch/mine"; run_setup python3 --target "$scratch/mine"; rm -f "$calls"
claim "a LIBTORCH_ROOT that fits is taken" ends_with 0 run_setup env LIBTORCH_ROOT="$scratch/mine/torch" "$setup"
claim "a LIBTORCH_ROOT that fits saves the download" test ! -e "$calls"
rm -f "$calls"; echo chromium >"$scratch/missing"
claim "a build needs no browser" ends_with 0 run_setup env LIBTORCH_ROOT="$scratch/mine/torch" "$setup"
claim "a build asks for no browser" test ! -e "$calls"
claim "tests need a browser" ends_with 0 run_setup env LIBTORCH_ROOT="$scratch/mine/torch" "$setup" --tests
claim "tests ask for a browser" called "apt-get.* install .*chromium" 1
claim "an unknown argument is wrong usage" ends_with 2 run_setup "$setup" --nonsense

built=$(sed -n 's/^build_targets //p' "$root/scripts/demo")
for program in $(grep -o 'build/release/bin/banyand\?\b' "$root/README.md" | sort -u); do
  claim "the demo builds ${program##*/}, which the README runs next" grep -qw "${program##*/}" <<<"$built"
done
finish
