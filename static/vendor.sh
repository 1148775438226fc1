#!/bin/sh
# Copies the pinned browser files (package.json) to static/vendor, which is committed. Run: npm ci && npm run vendor
set -eu
cd "$(dirname "$0")/.."
modules=node_modules
target=static/vendor

copy() { # licence file or "-", then source, then name in static/vendor
    sed '/sourceMappingURL=/d' "$modules/$2" >"$target/$3"
    [ "$1" = "-" ] || cp "$modules/$1" "$target/$3.LICENSE"
}

mkdir -p "$target"
copy - @tabler/core/dist/css/tabler.min.css tabler.min.css
copy htmx.org/LICENSE htmx.org/dist/htmx.min.js htmx.min.js
copy lightweight-charts/LICENSE \
    lightweight-charts/dist/lightweight-charts.standalone.production.js lightweight-charts.js

# The package of Tabler carries its licence only as a line in its own header.
cat >"$target/tabler.min.css.LICENSE" <<'LICENCE'
Tabler, https://github.com/tabler/tabler
Includes Bootstrap, Copyright (c) 2011-2026 The Bootstrap Authors, MIT

MIT License

Copyright (c) 2018-2026 The Tabler Authors

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
LICENCE
