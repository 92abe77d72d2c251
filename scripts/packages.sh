# Sourced by start.sh and test.sh: sees that the packages of some sections of packages.txt are
# there. Installs what is missing when it may, and otherwise says what to do.

packages_of() { # SECTION...
    for section in "$@"; do
        sed -n "/^\[$section\]/,/^\[/p" packages.txt | grep -v -e '^\[' -e '^#' -e '^$'
    done
}

packages_missing() { # SECTION...
    for package in $(packages_of "$@"); do
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$status" = installed ] || echo "$package"
    done
}

packages_need() { # SECTION...
    if ! command -v dpkg-query >/dev/null; then
        echo "This is not Debian; the packages in packages.txt must be there under your system's names." >&2
        return 0
    fi
    missing=$(packages_missing "$@" | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        echo "These packages are missing, and only root may install them:" >&2
        echo "    sudo apt-get install --no-install-recommends $missing" >&2
        return 1
    fi
    echo "Installing: $missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086
    apt-get install -y -qq --no-install-recommends $missing >/dev/null || {
        echo "apt-get could not install: $missing" >&2
        return 1
    }
}
