#!/usr/bin/env bash
# Installs the real servers and drivers that the tests and the demo run against.
#
#   tests/servers/install.sh [build|mysql|mariadb|sysbench|drivers|browser|prometheus|haproxy|router|strace|all]...
#
# router and strace are for `make bench` alone, and no part of all.
#
# Owns: apt packages of the machine, and the folder
# ${TIDEGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tidegate}. Does nothing, fast, when all is there.
# Never starts a server, and never leaves one that apt started by itself.
#
# MySQL comes from Debian sid, unpacked beside the system and started through its own loader, as no
# Debian release has it. Without it (no network, no sid) everything but the MySQL tests still runs.
set -euo pipefail

CACHE=${TIDEGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tidegate}
MYSQL=$CACHE/mysql-9.7
ROUTER=$CACHE/mysql-router-9.7

say() { printf 'install: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}

# Whether all of these programs are there.
has() {
    local program
    for program in "$@"; do command -v "$program" >/dev/null || return 1; done
}

# --- the system's apt -------------------------------------------------------------------------

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif has sudo; then
        # Without a terminal nobody could type the password: fail rather than hang.
        if [ -t 0 ]; then sudo "$@"; else sudo -n "$@"; fi
    else
        die "needs root for: $*  (be root, or install sudo)"
    fi
}

needs_apt() {
    has apt-get ||
        die "needs $1, and there is no apt-get to install it with; install it by hand"
}

apt_updated=
apt_install() {
    needs_apt "$*"
    say "apt-get install $*"
    if [ -z "$apt_updated" ]; then
        as_root apt-get -qq -o DPkg::Lock::Timeout=300 update >&2
        apt_updated=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 \
        -o Dpkg::Use-Pty=0 install --no-install-recommends "$@" </dev/null >&2
}

# Runs apt_install with every package's wish to start a service declined. A policy that is there
# already is somebody's decision and stays.
apt_install_without_services() {
    local policy=/usr/sbin/policy-rc.d ours=
    if [ ! -e "$policy" ]; then
        ours=yes
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi
    local status=0
    apt_install "$@" || status=$?
    if [ -n "$ours" ]; then as_root rm -f "$policy"; fi
    return "$status"
}

install_build() {
    if ! has cc make; then apt_install build-essential; fi
}

# For hosts that can be cut off.
install_namespaces() {
    if ! has ip; then apt_install iproute2; fi
}

# --- Debian sid -------------------------------------------------------------------------------

# Where this machine's apt gets Debian from, so that a mirror somebody chose is used for sid too.
debian_mirror() {
    local uri
    # shellcheck disable=SC2016 # apt's own placeholders
    uri=$(apt-get indextargets --format '$(REPO_URI) $(SUITE)$(RELEASE)$(CODENAME)' 2>/dev/null |
        awk '$1 !~ /security/ && $1 ~ /\/debian\/?$/ { print $1; exit }') || true
    printf '%s' "${uri:-http://deb.debian.org/debian}"
}

# Makes an apt of its own in a folder, its options in `sid`: it knows only sid and believes nothing is
# installed, so it brings the whole closure down to libc, and the system's apt never hears of it.
open_sid() {
    local work=$1 keyring=/usr/share/keyrings/debian-archive-keyring.gpg mirror
    [ -e "$keyring" ] || apt_install debian-archive-keyring
    mirror=$(debian_mirror)
    mkdir -p "$work"/{lists/partial,archives/partial,none}
    : >"$work/status"
    echo "deb [signed-by=$keyring] $mirror sid main" >"$work/sources.list"
    sid=(
        -qq
        -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=-
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts="$work/none"
        -o Dir::State::Lists="$work/lists" -o Dir::State::status="$work/status"
        -o Dir::State="$work" -o Dir::Cache="$work" -o Dir::Cache::Archives="$work/archives"
        -o APT::Install-Recommends=false -o APT::Sandbox::User="$(id -un)"
        -o Acquire::Languages=none -o Debug::NoLocking=true
    )
}

# --- MySQL ------------------------------------------------------------------------------------

mysql_works() { "$MYSQL/bin/mysqld" --version >/dev/null 2>&1 && "$MYSQL/bin/mysql" --version >/dev/null 2>&1; }

# A program of an unpacked tree runs under the tree's own loader and libraries only: the system's
# are older than what it was built for. `root` is where the tree will stand.
write_launcher() {
    local name=$1 root=$2 program=$3
    shift 3
    {
        printf '#!/bin/sh\nroot=%q\n' "$root"
        # shellcheck disable=SC2016 # expanded when the launcher runs
        printf '[ "${1-}" != --no-defaults ] || shift\n'
        # shellcheck disable=SC2016
        printf 'exec "$root/%s" --library-path "$root/%s" "$root/%s"' "$loader" "$libraries" "$program"
        printf ' %s' "$@"
        # shellcheck disable=SC2016
        printf ' "$@"\n'
    } >"$name"
    chmod 755 "$name"
}

# Unpacks packages of sid and all they stand on into `tree`, a folder in the cache that is gone at the
# end, and finds the `loader` and the `libraries` in it.
unpack_from_sid() {
    local what=$1 without=$2 size=$3 work package
    shift 3
    needs_apt "$what"
    has dpkg || die "needs dpkg to unpack $what"
    mkdir -p "$CACHE"
    work=$(mktemp -d "$CACHE/unpack.XXXXXX")
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf '$work'" EXIT
    open_sid "$work"
    say "$what: reading Debian sid's package list"
    apt-get "${sid[@]}" update >&2 || die "$what: Debian sid cannot be read; $without"
    say "$what: downloading $* and what they stand on ($size)"
    apt-get "${sid[@]}" -y install --download-only "$@" >&2 ||
        die "$what: not to be had from Debian sid today; $without"

    tree=$work/tree
    mkdir "$tree"
    for package in "$work"/archives/*.deb; do dpkg -x "$package" "$tree"; done
    loader=$(cd "$tree" && find usr/lib64 usr/lib -maxdepth 2 -name 'ld-linux*.so.*' 2>/dev/null | head -n 1)
    libraries=$(cd "$tree" && echo usr/lib/*-linux-gnu*)
    [ -n "$loader" ] || die "$what: the packages hold no program loader; $without"
    mkdir "$tree/bin"
}

install_mysql() {
    mysql_works && return
    unpack_from_sid MySQL "$without_mysql" "70 MB" mysql-server-core mysql-client-core
    # shellcheck disable=SC2016 # expanded when the launcher runs
    write_launcher "$tree/bin/mysqld" "$MYSQL" usr/sbin/mysqld --no-defaults \
        '"--lc-messages-dir=$root/usr/share/mysql"' \
        '"--character-sets-dir=$root/usr/share/mysql/charsets"' \
        '"--plugin-dir=$root/usr/lib/mysql/plugin"' '--secure-file-priv=""'
    local client
    for client in mysql mysqladmin mysqldump; do
        # shellcheck disable=SC2016
        if [ -e "$tree/usr/bin/$client" ]; then
            write_launcher "$tree/bin/$client" "$MYSQL" "usr/bin/$client" --no-defaults \
                '"--character-sets-dir=$root/usr/share/mysql/charsets"'
        fi
    done

    rm -rf "$MYSQL"
    mv "$tree" "$MYSQL"
    mysql_works || die "MySQL: unpacked, but it does not run: $("$MYSQL/bin/mysqld" --version 2>&1 || true)"
    say "MySQL: $("$MYSQL/bin/mysqld" --version | sed 's/^[^ ]* *//')"
}
without_mysql="the tests and the demo can do without it, on MariaDB"

# --- the peers of make bench ------------------------------------------------------------------

install_haproxy() {
    if has haproxy || [ -x /usr/sbin/haproxy ]; then return; fi
    apt_install_without_services haproxy
}

router_works() { "$ROUTER/bin/mysqlrouter" --version >/dev/null 2>&1; }

install_router() {
    router_works && return
    unpack_from_sid "MySQL Router" "the benchmark can do without it" "30 MB" mysql-router
    # Its plugins need libraries of its own.
    # shellcheck disable=SC2016 # expanded when the launcher runs
    libraries+=':$root/usr/lib/mysql-router'
    write_launcher "$tree/bin/mysqlrouter" "$ROUTER" usr/bin/mysqlrouter
    rm -rf "$ROUTER"
    mv "$tree" "$ROUTER"
    router_works ||
        die "MySQL Router: unpacked, but it does not run: $("$ROUTER/bin/mysqlrouter" --version 2>&1 || true)"
    say "$("$ROUTER/bin/mysqlrouter" --version)"
}

install_strace() {
    has strace || apt_install strace
}

# --- MariaDB, sysbench ------------------------------------------------------------------------

install_mariadb() {
    # The whole package and not only its core: the ed25519 plugin is in it.
    if [ -x /usr/sbin/mariadbd ] && has mariadb mariadb-install-db; then return; fi
    apt_install_without_services mariadb-server mariadb-client
}

install_sysbench() {
    has sysbench || apt_install sysbench
}

# --- drivers ----------------------------------------------------------------------------------

install_python_drivers() {
    local venv=$CACHE/python
    "$venv/bin/python" -c 'import pymysql, cryptography, mysql.connector, django' 2>/dev/null && return
    if ! has python3 || ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        apt_install python3 python3-venv
    fi
    say "pip install PyMySQL mysql-connector-python Django"
    mkdir -p "$CACHE"
    python3 -m venv --clear "$venv"
    # PyMySQL needs cryptography for caching_sha2_password without TLS.
    "$venv/bin/pip" install -q --disable-pip-version-check PyMySQL cryptography mysql-connector-python \
        'Django<6' >&2
}

install_node_driver() {
    local folder=$CACHE/node
    [ -e "$folder/node_modules/mysql2/package.json" ] && has node && return
    if ! has node npm; then apt_install nodejs npm; fi
    say "npm install mysql2"
    mkdir -p "$folder"
    (cd "$folder" && echo '{"private":true}' >package.json &&
        npm install --silent --no-audit --no-fund --ignore-scripts mysql2 >&2)
}

sources() { cd "$(dirname "${BASH_SOURCE[0]}")/../drivers/$1" && pwd; }

# Built here and not by the test: a compile is an installation's work. Debian's driver lives in a
# GOPATH, so modules are off and nothing is fetched.
build_go() {
    local program=$CACHE/go/$1 source
    source=$(sources "$2")
    [ -x "$program" ] && [ ! "$source/main.go" -nt "$program" ] && return
    if ! has go || [ ! -d /usr/share/gocode/src/github.com/go-sql-driver/mysql ]; then
        apt_install golang-go golang-github-go-sql-driver-mysql-dev
    fi
    say "go build tests/drivers/$2"
    mkdir -p "$CACHE/go"
    (cd "$source" && GO111MODULE=off GOFLAGS='' GOPATH=/usr/share/gocode GOCACHE="$CACHE/go/cache" \
        go build -o "$program" main.go)
}

install_go_driver() {
    build_go driver go
    build_go crowd go_crowd
}

# Two of them: the one that Debian 12 has (2.7), and sid's (3.5), which is what is used elsewhere. A jar
# needs nothing of the system it came with.
install_java_driver() {
    local jar=/usr/share/java/mariadb-java-client.jar
    if [ ! -e "$jar" ] || ! has java javac; then apt_install libmariadb-java default-jdk-headless; fi
    mkdir -p "$CACHE/java"
    build_java
    [ -e "$CACHE/java/mariadb-3.jar" ] || fetch_connector_3
}

fetch_connector_3() {
    local work
    work=$(mktemp -d "$CACHE/connector.XXXXXX")
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf '$work'" EXIT
    open_sid "$work"
    say "MariaDB Connector/J: downloading it from Debian sid"
    apt-get "${sid[@]}" update >&2 || die "MariaDB Connector/J: Debian sid cannot be read"
    (cd "$work" && apt-get "${sid[@]}" download libmariadb-java >&2) ||
        die "MariaDB Connector/J: not to be had from Debian sid today"
    dpkg -x "$work"/libmariadb-java_*.deb "$work/tree"
    cp -L "$work/tree/usr/share/java/mariadb-java-client.jar" "$work/jar"
    mv "$work/jar" "$CACHE/java/mariadb-3.jar"
    rm -rf "$work"
}

# Compiled against JDBC alone, so one set of classes serves every version of the driver.
build_java() {
    local folder=$CACHE/java source class
    source=$(sources java)
    for class in Connector Crowd; do
        if [ ! -e "$folder/$class.class" ] || [ "$source/$class.java" -nt "$folder/$class.class" ]; then
            say "javac tests/drivers/java"
            javac -d "$folder" "$source"/*.java
            return
        fi
    done
}

install_ruby_driver() {
    has ruby && ruby -e 'require "mysql2"; require "active_record"' 2>/dev/null && return
    apt_install ruby ruby-mysql2 ruby-activerecord
}

install_php_driver() {
    has php && php -r 'exit(extension_loaded("pdo_mysql") && extension_loaded("pcntl") ? 0 : 1);' && return
    apt_install php-cli php-mysql
}

install_drivers() {
    install_python_drivers
    install_node_driver
    install_go_driver
    install_ruby_driver
    install_php_driver
    # Last: it needs sid.
    install_java_driver
}

# --- the browser ------------------------------------------------------------------------------

install_browser() {
    if has chromium chromedriver; then return; fi
    apt_install chromium chromium-driver fonts-dejavu-core
}

# --- Prometheus -------------------------------------------------------------------------------

install_prometheus() {
    if has prometheus promtool; then return; fi
    apt_install_without_services prometheus
}

# --- the door ---------------------------------------------------------------------------------

[ $# -gt 0 ] || set -- all
for what in "$@"; do
    case $what in
        mysql) install_mysql ;;
        mariadb) install_mariadb ;;
        sysbench) install_sysbench ;;
        drivers) install_drivers ;;
        browser) install_browser ;;
        prometheus) install_prometheus ;;
        haproxy) install_haproxy ;;
        router) install_router ;;
        strace) install_strace ;;
        build) install_build ;;
        all)
            install_build
            install_namespaces
            install_mariadb
            install_sysbench
            install_haproxy
            # In a process of its own: no MySQL is no reason to go without the rest.
            "${BASH_SOURCE[0]}" mysql || say "going on without MySQL"
            # Nor is no browser: the page is the one thing it tests.
            "${BASH_SOURCE[0]}" browser || say "going on without Chromium"
            # Nor is no Prometheus: its tests say that they were skipped.
            "${BASH_SOURCE[0]}" prometheus || say "going on without Prometheus"
            install_drivers
            ;;
        *) die "unknown: $what (build, mysql, mariadb, sysbench, drivers, browser, prometheus, haproxy, router, strace or all)" ;;
    esac
done
