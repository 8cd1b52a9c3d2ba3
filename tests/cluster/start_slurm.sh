#!/usr/bin/env bash
# start_slurm.sh - test cluster for integration tests.
#
# Brings up a real Slurm (controller, N compute daemons, accounting) on this one
# host, as root and without systemd.  Safe to run again: what is already up is
# left alone.  stop_slurm.sh beside this file takes it down.
#
#   ./start_slurm.sh            install what is missing, start, wait until idle
#   . /var/lib/slurm-test/env   puts SLURM_CONF into the calling shell
#                               (not needed while /etc/slurm/slurm.conf is ours)
#
# Settings, from the environment (defaults in brackets):
#   SLURM_TEST_DIR    where everything lives                    [/var/lib/slurm-test]
#   SLURM_TEST_NODES  number of compute daemons n1..nN          [4]
#   SLURM_TEST_CPUS   CPUs each of them claims                  [8]
#   SLURM_TEST_MEM    MB of memory each of them claims          [64000]
#   SLURM_TEST_GPUS   GPUs each of them claims (0: none)        [4]
#   SLURM_TEST_ACCT   1: MariaDB + slurmdbd, so `sacct` works   [1]
#                     0: no accounting; sacct fails, squeue and scontrol work
#   SLURM_TEST_CGROUP 1: jobs live in cgroups, as on a real cluster: their memory
#                        request is a limit (state OUT_OF_MEMORY), and nothing a
#                        job started outlives it, daemons included
#                     0: neither; a daemon that a job leaves behind goes on
#                     auto: 1 where cgroup v1 can be written, else 0    [auto]
#   SLURM_TEST_PYXIS  1: srun and sbatch take --container-image & co. and hand them
#                        to the tasks as FAKE_PYXIS_*; no container is started [1]
#   SLURM_TEST_PORT   first of the TCP ports used on 127.0.0.1  [16800]
#
# CPUs and GPUs are claims only, nothing is bound: 8 CPUs may be claimed where there
# are 2.  A "GPU" is a device file with no driver behind it; jobs get the usual
# CUDA_VISIBLE_DEVICES.
set -euo pipefail
umask 022

DIR=${SLURM_TEST_DIR:-/var/lib/slurm-test}
NODES=${SLURM_TEST_NODES:-4}
CPUS=${SLURM_TEST_CPUS:-8}
MEM=${SLURM_TEST_MEM:-64000}
GPUS=${SLURM_TEST_GPUS:-4}
ACCT=${SLURM_TEST_ACCT:-1}
CGROUP=${SLURM_TEST_CGROUP:-auto}
PYXIS=${SLURM_TEST_PYXIS:-1}
PORT=${SLURM_TEST_PORT:-16800}
HERE=$(dirname "$(readlink -f "$0")")
CTLD_PORT=$PORT DBD_PORT=$((PORT + 1)) SQL_PORT=$((PORT + 2)) NODE_PORT=$((PORT + 10))
HOST=$(hostname -s)
T0=$(date +%s%N)

say() { printf '[%5d ms] %s\n' $((($(date +%s%N) - T0) / 1000000)) "$*"; }
die() { echo "start_slurm.sh: $*" >&2; exit 1; }

# A daemon that ended can stay behind as a zombie where process 1 does not reap,
# so `kill -0` is not proof of life: look at the state instead.
alive() { # alive PIDFILE NAME
    local pid state
    pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] || return 1
    state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$pid/status" 2>/dev/null) || return 1
    [ -n "$state" ] && [ "$state" != Z ] && grep -q "$2" "/proc/$pid/comm"
}

wait_for() { # wait_for SECONDS WHAT COMMAND...
    local tries=$(($1 * 20)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        ((tries-- > 0)) || die "$what: not up in time, see $DIR/log"
        sleep 0.05
    done
}

[ "$(id -u)" = 0 ] || die "must run as root"
# One at a time; -o: the daemons must not inherit (and so keep) the lock.
mkdir -p "$DIR"
[ -n "${SLURM_TEST_LOCKED:-}" ] || SLURM_TEST_LOCKED=1 exec flock -o "$DIR.lock" "$0" "$@"
unset SLURM_TEST_LOCKED

# --- packages -----------------------------------------------------------------
need=(slurmctld slurmd slurm-client munge)
[ "$ACCT" = 1 ] && need+=(slurmdbd slurm-wlm-mysql-plugin mariadb-server)
[ "$PYXIS" = 1 ] && need+=(gcc libc6-dev libslurm-dev)
missing=()
for p in "${need[@]}"; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
done
if ((${#missing[@]})); then
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y -q --no-install-recommends "${missing[@]}" >/tmp/start_slurm.apt.log 2>&1 ||
        { apt-get update -q && apt-get install -y -q --no-install-recommends "${missing[@]}"; } \
            >>/tmp/start_slurm.apt.log 2>&1 || die "install failed, see /tmp/start_slurm.apt.log"
fi

mkdir -p "$DIR"/{log,run,ctld,dev,mysql}
chmod 755 "$DIR"

if [ "$CGROUP" = auto ]; then
    CGROUP=1
    for c in freezer memory devices; do
        d=/sys/fs/cgroup/$c/slurm-test-probe
        mkdir "$d" 2>/dev/null && rmdir "$d" || CGROUP=0
    done
fi

# --- configuration ------------------------------------------------------------
# MpiDefault=none and no PMIx: srun needs none here.
# bf_*/sched_*/batch_sched_delay: look for work at once, tests wait for seconds.
# preempt_send_user_signal: a preempted job gets its own --signal first, as a timed-out one.
plugstack=$(mktemp "$DIR/plugstack.conf.XXXXXX")
if [ "$PYXIS" = 1 ]; then
    [ "$DIR/fake_pyxis.so" -nt "$HERE/fake_pyxis.c" ] ||
        gcc -shared -fPIC -O2 -o "$DIR/fake_pyxis.so" "$HERE/fake_pyxis.c"
    echo "required $DIR/fake_pyxis.so" >"$plugstack"
fi

slurm=$(mktemp "$DIR/slurm.conf.XXXXXX")
cat >"$slurm" <<CONF
ClusterName=test
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=$CTLD_PORT
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
MailProg=/bin/true
PlugStackConfig=$DIR/plugstack.conf
MpiDefault=none
ProctrackType=proctrack/$([ "$CGROUP" = 1 ] && echo cgroup || echo linuxproc)
TaskPlugin=task/$([ "$CGROUP" = 1 ] && echo cgroup || echo none)
ReturnToService=2
StateSaveLocation=$DIR/ctld
SlurmdSpoolDir=$DIR/spool.%n
SlurmctldPidFile=$DIR/run/slurmctld.pid
SlurmdPidFile=$DIR/run/slurmd.%n.pid
SlurmctldLogFile=$DIR/log/slurmctld.log
SlurmdLogFile=$DIR/log/slurmd.%n.log
SlurmctldDebug=info
SlurmdDebug=info
SlurmdParameters=config_overrides
SlurmctldParameters=preempt_send_user_signal
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=2,sched_min_interval=0,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=1000
MaxArraySize=10001
MaxJobCount=20000
MinJobAge=600
KillWait=5
UnkillableStepTimeout=30
SlurmctldTimeout=30
SlurmdTimeout=60
InactiveLimit=0
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobCompType=jobcomp/filetxt
JobCompLoc=$DIR/log/jobcomp.log
$([ "$GPUS" -gt 0 ] && echo GresTypes=gpu)
$([ "$ACCT" = 1 ] && printf '%s\n' AccountingStorageType=accounting_storage/slurmdbd \
    AccountingStorageHost=127.0.0.1 "AccountingStoragePort=$DBD_PORT" "AccountingStorageTRES=$([ "$GPUS" -gt 0 ] && echo gres/gpu)" |
    sed '/TRES=$/d')
NodeName=n[1-$NODES] NodeHostname=$HOST NodeAddr=127.0.0.1 Port=[$((NODE_PORT + 1))-$((NODE_PORT + NODES))] CPUs=$CPUS RealMemory=$MEM $([ "$GPUS" -gt 0 ] && echo "Gres=gpu:$GPUS") State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES PriorityTier=10 MaxTime=INFINITE DefaultTime=10 State=UP
PartitionName=high Nodes=ALL PriorityTier=50 PreemptMode=OFF MaxTime=INFINITE DefaultTime=10 State=UP
PartitionName=low Nodes=ALL PriorityTier=1 PreemptMode=REQUEUE GraceTime=10 MaxTime=INFINITE DefaultTime=10 State=UP
CONF
# port lists of one element are not ranges
[ "$NODES" = 1 ] && sed -i "s/^NodeName=n\[1-1\]/NodeName=n1/; s/Port=\[\([0-9]*\)-[0-9]*\]/Port=\1/" "$slurm"

gres=$(mktemp "$DIR/gres.conf.XXXXXX")
if [ "$GPUS" -gt 0 ]; then
    # A count without File= is dropped by this version ("count reported lower than
    # configured") and File=/dev/null with Count=4 is refused: so a device file each,
    # with the numbers that real ones have (those of /dev/null would be taken away
    # from every job without a GPU).
    for ((g = 0; g < GPUS; g++)); do
        [ -c "$DIR/dev/nvidia$g" ] || mknod -m 666 "$DIR/dev/nvidia$g" c 195 "$g"
    done
    files="$DIR/dev/nvidia[0-$((GPUS - 1))]"
    [ "$GPUS" = 1 ] && files="$DIR/dev/nvidia0"
    printf 'AutoDetect=off\nName=gpu File=%s\n' "$files" >"$gres"
fi

cgroup=$(mktemp "$DIR/cgroup.conf.XXXXXX")
# cores are not constrained: more are claimed than there are
printf '%s\n' CgroupPlugin=cgroup/v1 CgroupMountpoint=/sys/fs/cgroup CgroupAutomount=no \
    ConstrainRAMSpace=yes ConstrainSwapSpace=no ConstrainDevices=yes ConstrainCores=no >"$cgroup"

changed=0
for f in slurm gres cgroup plugstack; do
    new=${!f}
    cmp -s "$new" "$DIR/$f.conf" || changed=1
    mv -f "$new" "$DIR/$f.conf"
    chmod 644 "$DIR/$f.conf"
done
echo "export SLURM_CONF=$DIR/slurm.conf" >"$DIR/env"
export SLURM_CONF=$DIR/slurm.conf
# Make the plain commands work too, unless this host has a configuration of its own.
mkdir -p /etc/slurm
for f in slurm gres cgroup; do
    [ -e /etc/slurm/$f.conf ] && [ ! -L /etc/slurm/$f.conf ] || ln -sfn "$DIR/$f.conf" /etc/slurm/$f.conf
done
if [ "$changed" = 1 ] && alive "$DIR/run/slurmctld.pid" slurmctld; then
    say "configuration changed: restarting"
    "$HERE/stop_slurm.sh" --keep-config
fi

# --- munge --------------------------------------------------------------------
# The default socket: 22.05's database connection does not follow AuthInfo=socket=.
# A munged that already answers there is used as it is.
if ! munge -n >/dev/null 2>&1; then
    [ -s "$DIR/munge.key" ] || dd if=/dev/urandom of="$DIR/munge.key" bs=1024 count=1 status=none
    chmod 600 "$DIR/munge.key"
    install -d -m 755 /run/munge
    rm -f /run/munge/munge.socket.2*
    munged --force --key-file="$DIR/munge.key" --socket=/run/munge/munge.socket.2 \
        --pid-file="$DIR/run/munged.pid" --log-file="$DIR/log/munged.log" --seed-file="$DIR/munge.seed" \
        --num-threads=10
    say "munged"
fi

# --- accounting ---------------------------------------------------------------
if [ "$ACCT" = 1 ]; then
    if ! alive "$DIR/run/mariadb.pid" 'mariadbd'; then
        sql=(--no-defaults --datadir="$DIR/mysql" --user=root)
        if [ ! -d "$DIR/mysql/mysql" ]; then
            mariadb-install-db "${sql[@]}" --auth-root-authentication-method=normal --skip-test-db \
                --skip-name-resolve >"$DIR/log/mariadb-install.log" 2>&1 || die "see $DIR/log/mariadb-install.log"
            say "database laid out"
        fi
        # sync off: it is a throw-away database
        setsid mariadbd "${sql[@]}" --socket="$DIR/run/mariadb.sock" --pid-file="$DIR/run/mariadb.pid" \
            --bind-address=127.0.0.1 --port="$SQL_PORT" --skip-name-resolve --innodb-buffer-pool-size=64M \
            --innodb-log-file-size=32M --innodb-lock-wait-timeout=900 --innodb-flush-log-at-trx-commit=0 \
            --performance-schema=OFF --max-connections=20 </dev/null >"$DIR/log/mariadb.log" 2>&1 &
        disown
        q=(mariadb --no-defaults --socket="$DIR/run/mariadb.sock" -u root)
        wait_for 30 mariadbd "${q[@]}" -e 'select 1'
        "${q[@]}" -e "create user if not exists slurm@'127.0.0.1' identified by 'slurm';
                      grant all on slurm_acct.* to slurm@'127.0.0.1';"
        say "mariadbd"
    fi
    if ! alive "$DIR/run/slurmdbd.pid" slurmdbd; then
        # slurmdbd reads slurmdbd.conf from the folder of SLURM_CONF; it must be 0600
        (umask 077; cat >"$DIR/slurmdbd.conf" <<CONF
AuthType=auth/munge
DbdHost=$HOST
DbdAddr=127.0.0.1
DbdPort=$DBD_PORT
SlurmUser=root
LogFile=$DIR/log/slurmdbd.log
PidFile=$DIR/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$SQL_PORT
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct
CONF
        )
        slurmdbd
        wait_for 30 slurmdbd sacctmgr -n list cluster
        say "slurmdbd"
    fi
    # -n: nothing asked; the answer "already exists" is an answer too
    sacctmgr -n list cluster format=cluster | grep -qw test || sacctmgr -i add cluster test >/dev/null 2>&1 || true
fi

# --- Slurm itself -------------------------------------------------------------
if ! alive "$DIR/run/slurmctld.pid" slurmctld; then
    slurmctld
    wait_for 20 slurmctld scontrol ping
    say "slurmctld"
fi
for ((n = 1; n <= NODES; n++)); do
    alive "$DIR/run/slurmd.n$n.pid" slurmd && continue
    mkdir -p "$DIR/spool.n$n"
    slurmd -N "n$n"
done
# Nodes that a test set down or drained come back; a refusal (nothing to do) is fine.
scontrol update nodename=ALL state=resume >/dev/null 2>&1 || true
all_up() { [ "$(sinfo -h -N -p main -o '%T' | grep -cE '^(idle|mixed|allocated|completing)$')" = "$NODES" ]; }
wait_for 30 "the compute nodes" all_up
say "up: $(sinfo -h -p main -o '%D nodes %t, %c CPUs, %m MB, %G' | tr '\n' ';')"
