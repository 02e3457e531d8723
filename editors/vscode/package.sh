#!/bin/sh
# Package the extension as cwl-prefect.vsix, in this directory or where the first argument says. Needs node and npm.
set -eu
cd "$(dirname "$0")"
output=${1:-$PWD/cwl-prefect.vsix}
case $output in /*) ;; *) output=$OLDPWD/$output ;; esac
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp -R package.json extension.js language-configuration.json syntaxes README.md .vscodeignore ../../LICENSE "$scratch"
cd "$scratch"
npm install --omit=dev --ignore-scripts --no-audit --no-fund --no-package-lock --silent
npx --yes @vscode/vsce@3 package --allow-missing-repository --out "$output"
