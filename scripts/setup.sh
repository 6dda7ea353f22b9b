#!/usr/bin/env bash
# Installs what Headrace needs and is not there: Java, nginx and Maven by the system's package manager,
# uv, the locked Python environment, Kafka's jars, the reference model; with --tests also Chromium,
# PostgreSQL, kcat and promtool.
# Quick when there is nothing to do. Where it may not install, it says exactly what to install.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

OLDEST_JAVA=17
REFERENCE_MODEL=smollm2-135m-instruct
HOME=${HOME:-~} # without HOME the shell takes the folder that the system knows for this user
export HOME
CACHE=${HEADRACE_CACHE:-$HOME/.cache/headrace}
STAMP=.venv/.headrace-setup
POM=infra/kafka/pom.xml
WITH_TESTS=${1:-}

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$@" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
digest() { if have sha256sum; then sha256sum; else shasum -a 256; fi | cut -d' ' -f1; }

java_version() { # the major version of the Java on the PATH, 0 without one
  local text
  text=$(java -version 2>&1) || { echo 0; return; }
  sed -nE 's/.*version "(1\.)?([0-9]+).*/\2/p' <<<"$text" | head -n1 | grep . || echo 0
}
java_is_good() { [ "$(java_version)" -ge "$OLDEST_JAVA" ]; }
kcat_is_there() { have kcat || [ -f .venv/.headrace-no-kcat ]; }
promtool_is_there() { have promtool || [ -x .venv/bin/promtool ] || [ -f .venv/.headrace-no-promtool ]; }
chromium_is_there() { have chromium || have chromium-browser; }
postgres_is_there() { ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || have initdb; }
nginx_is_there() { # where the stack looks for it, see libs/stack/headrace_stack/gateway/nginx.py
  local folder
  for folder in "${HEADRACE_NGINX:-}" $(command -v nginx || true) /usr/sbin/nginx \
    /usr/local/sbin/nginx /opt/homebrew/bin/nginx .venv/bin/nginx; do
    [ -n "$folder" ] && "$folder" -v >/dev/null 2>&1 && return
  done
  return 1
}
jars_are_there() { grep -qsx "$(digest <"$POM")" "$CACHE"/kafka/*/pom.sha256; }

# -- how this system installs packages ---------------------------------------------------------

AS_ROOT=none
if [ "$(id -u)" = 0 ]; then AS_ROOT=""; elif have sudo && sudo -n true 2>/dev/null; then AS_ROOT=sudo; fi
APT_UPDATED=
apt_get() { $AS_ROOT env DEBIAN_FRONTEND=noninteractive apt-get -qq -y "$@" >/dev/null; }
apt_has() { apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [^(]'; }

install() { # install WHAT DEBIAN FEDORA BREW: the names of a package, by system
  local what=$1 debian=$2 fedora=$3 brew=$4
  if have apt-get && [ "$AS_ROOT" != none ]; then
    say "installing $what (apt-get install $debian)"
    [ -n "$APT_UPDATED" ] || { apt_get update && APT_UPDATED=1; }
    apt_get install --no-install-recommends "$debian" && return
  elif have dnf && [ "$AS_ROOT" != none ]; then
    say "installing $what (dnf install $fedora)"
    $AS_ROOT dnf -q -y install "$fedora" && return
  elif have brew; then
    say "installing $what (brew install $brew)"
    # shellcheck disable=SC2086 # `--cask name` is two words
    brew install --quiet $brew && return
  fi
  printf 'setup: %s is missing and could not be installed from here. Install it, then run this again:\n' "$what" >&2
  printf '  Debian/Ubuntu: sudo apt-get install -y %s\n' "$debian" >&2
  printf '  Fedora/RHEL:   sudo dnf install -y %s\n' "$fedora" >&2
  printf '  macOS:         brew install %s\n' "$brew" >&2
  return 1
}

install_promtool() { # Debian's package would also run a server: only the tool is taken out of it
  if have apt-get && have dpkg-deb; then
    say "installing promtool (from Debian's package prometheus)"
    local folder
    folder=$(mktemp -d)
    if (cd "$folder" && { apt-get -qq download prometheus \
      || { [ "$AS_ROOT" != none ] && apt_get update && apt-get -qq download prometheus; }; } \
      && dpkg-deb -x prometheus_*.deb .) >/dev/null 2>&1; then
      mkdir -p .venv/bin
      cp "$folder/usr/bin/promtool" .venv/bin/promtool
    fi
    rm -rf "$folder"
    promtool_is_there && return
  fi
  install "promtool (for the tests of the alert rules)" prometheus golang-github-prometheus prometheus
}

debian_jre() { # the newest long-term Java that this release has
  local name
  if have apt-cache; then
    for name in openjdk-21-jre-headless openjdk-17-jre-headless; do
      apt_has "$name" && { echo "$name"; return; }
    done
  fi
  echo openjdk-17-jre-headless
}

unpack_nginx() { # Debian's package, installed, would also start a server on port 80
  local folder
  have apt-get && have dpkg-deb || return 1
  folder=$(mktemp -d)
  if (cd "$folder" && { apt-get -qq download nginx \
    || { [ "$AS_ROOT" != none ] && apt_get update && apt-get -qq download nginx; }; } \
    && dpkg-deb -x nginx_*.deb . && usr/sbin/nginx -v) >/dev/null 2>&1; then
    cp "$folder/usr/sbin/nginx" .venv/bin/nginx
  fi
  rm -rf "$folder"
  nginx_is_there
}

# -- nothing to do? ----------------------------------------------------------------------------

# What was installed depends on these files alone.
WANTED=$(cat uv.lock pyproject.toml libs/*/pyproject.toml services/*/pyproject.toml "$POM" \
  scripts/setup.sh | digest)
is_done() {
  [ -f "$STAMP" ] && [ "$(cat "$STAMP")" = "$WANTED $CACHE" ] && [ -x .venv/bin/headrace ] \
    && have java && jars_are_there && nginx_is_there \
    && { [ "$WITH_TESTS" != --tests ] || {
      { chromium_is_there || [ -f .venv/.headrace-no-chromium ]; } \
        && { postgres_is_there || [ -f .venv/.headrace-no-postgres ]; } \
        && kcat_is_there && promtool_is_there
    }; }
}
if is_done; then exit 0; fi

if ! { mkdir -p "$CACHE" && [ -w "$CACHE" ]; } 2>/dev/null; then
  fail "$CACHE cannot be written, and Kafka's jars and the model are to be kept there." \
    "Set HEADRACE_CACHE to a folder that can: HEADRACE_CACHE=\$PWD/.cache make demo"
fi
# uv keeps what it fetched in the home, where that can be written.
[ -n "${UV_CACHE_DIR:-${XDG_CACHE_HOME:-}}" ] || mkdir -p "$HOME/.cache/uv" 2>/dev/null \
  || export UV_CACHE_DIR="$CACHE/uv"

# -- system packages ---------------------------------------------------------------------------

if have brew && ! java_is_good; then
  # Homebrew's Java is not linked into the PATH.
  PATH="$(brew --prefix)/opt/openjdk/bin:$PATH"
fi
if ! java_is_good; then
  install "Java $OLDEST_JAVA or newer" "$(debian_jre)" java-latest-openjdk-headless openjdk || exit 1
  hash -r
  java_is_good || fail "the installed Java ($(java_version)) is older than $OLDEST_JAVA" \
    "install Java $OLDEST_JAVA or newer and put it first on the PATH"
fi
if ! have mvn && ! jars_are_there; then
  install "Maven (it fetches Kafka's jars once)" maven maven maven || exit 1
fi
if [ "$WITH_TESTS" = --tests ] && ! chromium_is_there; then
  # Only the console's browser test needs it: without it the set-up goes on.
  install "Chromium (for the browser test)" chromium chromium "--cask chromium" \
    || { mkdir -p .venv; touch .venv/.headrace-no-chromium; }
fi
if [ "$WITH_TESTS" = --tests ] && ! postgres_is_there; then
  # Tests run a temporary cluster of its binaries and skip without them: the set-up goes on.
  install "PostgreSQL (for the tests of the service databases)" postgresql postgresql-server postgresql \
    || { mkdir -p .venv; touch .venv/.headrace-no-postgres; }
fi
if [ "$WITH_TESTS" = --tests ] && ! kcat_is_there; then
  # Only the test of the plain-Kafka guide needs it.
  install "kcat (for the plain-Kafka guide's test)" kcat kcat kcat \
    || { mkdir -p .venv; touch .venv/.headrace-no-kcat; }
fi
# -- Python ------------------------------------------------------------------------------------

UV=$(command -v uv || true)
for candidate in "$CACHE/tools/bin/uv" "$HOME/.local/bin/uv"; do
  [ -n "$UV" ] || { [ -x "$candidate" ] && UV=$candidate; } || true
done
if [ -z "$UV" ]; then
  say "installing uv"
  if have pipx && pipx install --quiet uv; then
    UV=$HOME/.local/bin/uv
  elif have python3 && python3 -m venv "$CACHE/tools" 2>/dev/null \
    && "$CACHE/tools/bin/python" -m pip install --quiet --disable-pip-version-check uv; then
    # An environment of its own: the system's Python may refuse packages (PEP 668).
    UV=$CACHE/tools/bin/uv
  elif have python3 && python3 -m pip install --quiet --user --disable-pip-version-check uv; then
    UV=$HOME/.local/bin/uv
  else
    fail "uv is missing and could not be installed. Install it, then run this again:" \
      "  pipx install uv     (Debian/Ubuntu: sudo apt-get install -y pipx; macOS: brew install uv)"
  fi
fi
say "Python environment from uv.lock"
# Compiled once here: without it the first start of every service and Ray worker compiles torch,
# MLflow and the rest by itself, minutes on two cores.
UV_COMPILE_BYTECODE=1 "$UV" sync --locked --all-packages --all-extras --quiet

if [ "$WITH_TESTS" = --tests ] && ! promtool_is_there; then
  install_promtool || touch .venv/.headrace-no-promtool
fi

if ! nginx_is_there; then
  say "nginx (the gateway behind the base URL)"
  unpack_nginx || install "nginx" nginx nginx nginx || exit 1
fi

# -- what is fetched or made once, side by side -------------------------------------------------

say "Kafka's jars and the reference model"
MODEL_LOG=.venv/.headrace-model.log # progress bars, worth a look only when it fails
.venv/bin/python -P -m headrace_models "$REFERENCE_MODEL" >"$MODEL_LOG" 2>&1 &
MODEL=$!
.venv/bin/python -P -m headrace_stack.kafka >/dev/null || { wait "$MODEL" || true; exit 1; }
wait "$MODEL" || fail "the reference model could not be prepared: $(tail -n 5 "$MODEL_LOG")"

printf '%s' "$WANTED $CACHE" >"$STAMP"
say "done"
