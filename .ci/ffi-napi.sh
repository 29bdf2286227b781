#!/bin/sh
# The binding tests on the second FFI engine. ffi-napi and ref-napi are no dependency of this package: they are
# built here, in a folder of their own that is removed at the end. Needs npm, python3, make and a C++ compiler.
#   .ci/ffi-napi.sh [--bench]   with --bench, compares both engines afterwards
set -eu
cd "$(dirname "$0")/.."

modules=$(mktemp -d "${TMPDIR:-/tmp}/pinholed-ffi-napi.XXXXXX")
trap 'rm -rf "$modules"' EXIT INT TERM
# A test gives up root before a worker loads the engine.
chmod 755 "$modules"

printf '{"private":true}\n' > "$modules/package.json"
# ffi-napi 4.0.3 does not compile against Node 20 and later without this: its finalizers have the older type.
CXXFLAGS=-DNODE_API_EXPERIMENTAL_NOGC_ENV_OPT_OUT \
  npm install --prefix "$modules" --no-package-lock --no-audit --no-fund --loglevel=error \
  ffi-napi@4.0.3 ref-napi@3.0.3

export PINHOLED_FFI_MODULES="$modules"
PINHOLED_FFI=ffi-napi node test/run.mjs test/native-bindings/
if [ "${1-}" = --bench ]; then
  node bench/run.mjs ffi
fi
