//! Which system calls a container may make: an allow-list after Docker's default profile, cut down
//! to what is left without its capabilities; what a capability opens stands in its own table.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, sock_filter,
};

use crate::caps::Caps;
use crate::error::Error;

macro_rules! calls {
    ($($name:ident)*) => { &[$(libc::$name),*] };
}

/// Calls everybody may make with any argument, on every architecture.
const OPEN: &[i64] = calls! {
    SYS_accept SYS_accept4 SYS_adjtimex SYS_bind SYS_brk SYS_capget SYS_capset SYS_chdir
    SYS_clock_getres SYS_clock_gettime SYS_clock_nanosleep SYS_close SYS_close_range SYS_connect
    SYS_copy_file_range SYS_dup SYS_dup3 SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait
    SYS_epoll_pwait2 SYS_eventfd2 SYS_execve SYS_execveat SYS_exit SYS_exit_group SYS_faccessat
    SYS_faccessat2 SYS_fadvise64 SYS_fallocate SYS_fanotify_mark SYS_fchdir SYS_fchmod
    SYS_fchmodat SYS_fchown SYS_fchownat SYS_fcntl SYS_fdatasync SYS_fgetxattr SYS_flistxattr
    SYS_flock SYS_fremovexattr SYS_fsetxattr SYS_fstat SYS_fstatfs SYS_fsync SYS_ftruncate
    SYS_futex SYS_futex_waitv SYS_get_robust_list SYS_getcpu SYS_getcwd SYS_getdents64
    SYS_getegid SYS_geteuid SYS_getgid SYS_getgroups SYS_getitimer SYS_getpeername SYS_getpgid
    SYS_getpid SYS_getppid SYS_getpriority SYS_getrandom SYS_getresgid SYS_getresuid
    SYS_getrlimit SYS_getrusage SYS_getsid SYS_getsockname SYS_getsockopt SYS_gettid
    SYS_gettimeofday SYS_getuid SYS_getxattr SYS_inotify_add_watch SYS_inotify_init1
    SYS_inotify_rm_watch SYS_io_cancel SYS_io_destroy SYS_io_getevents
    SYS_io_setup SYS_io_submit SYS_ioprio_get SYS_ioprio_set SYS_kill
    SYS_landlock_add_rule SYS_landlock_create_ruleset SYS_landlock_restrict_self SYS_lgetxattr
    SYS_linkat SYS_listen SYS_listxattr SYS_llistxattr SYS_lremovexattr SYS_lseek SYS_lsetxattr
    SYS_madvise SYS_membarrier SYS_memfd_create SYS_mincore SYS_mkdirat SYS_mknodat SYS_mlock
    SYS_mlock2 SYS_mlockall SYS_mmap SYS_mprotect SYS_mq_getsetattr SYS_mq_notify SYS_mq_open
    SYS_mq_timedreceive SYS_mq_timedsend SYS_mq_unlink SYS_mremap SYS_msgctl SYS_msgget
    SYS_msgrcv SYS_msgsnd SYS_msync SYS_munlock SYS_munlockall SYS_munmap SYS_name_to_handle_at
    SYS_nanosleep SYS_newfstatat SYS_openat SYS_openat2 SYS_pidfd_open SYS_pidfd_send_signal
    SYS_pipe2 SYS_pkey_alloc SYS_pkey_free SYS_pkey_mprotect SYS_ppoll SYS_prctl SYS_pread64
    SYS_preadv SYS_preadv2 SYS_prlimit64 SYS_process_mrelease SYS_process_vm_readv
    SYS_process_vm_writev SYS_pselect6 SYS_ptrace SYS_pwrite64 SYS_pwritev SYS_pwritev2 SYS_read
    SYS_readahead SYS_readlinkat SYS_readv SYS_recvfrom SYS_recvmmsg SYS_recvmsg
    SYS_remap_file_pages SYS_removexattr SYS_renameat SYS_renameat2 SYS_restart_syscall SYS_rseq
    SYS_rt_sigaction SYS_rt_sigpending SYS_rt_sigprocmask SYS_rt_sigqueueinfo SYS_rt_sigreturn
    SYS_rt_sigsuspend SYS_rt_sigtimedwait SYS_rt_tgsigqueueinfo SYS_sched_get_priority_max
    SYS_sched_get_priority_min SYS_sched_getaffinity SYS_sched_getattr SYS_sched_getparam
    SYS_sched_getscheduler SYS_sched_rr_get_interval SYS_sched_setaffinity SYS_sched_setattr
    SYS_sched_setparam SYS_sched_setscheduler SYS_sched_yield SYS_seccomp SYS_semctl SYS_semget
    SYS_semop SYS_semtimedop SYS_sendfile SYS_sendmmsg SYS_sendmsg SYS_sendto
    SYS_set_robust_list SYS_set_tid_address SYS_setfsgid SYS_setfsuid SYS_setgid SYS_setgroups
    SYS_setitimer SYS_setpgid SYS_setpriority SYS_setregid SYS_setresgid SYS_setresuid
    SYS_setreuid SYS_setrlimit SYS_setsid SYS_setsockopt SYS_setuid SYS_setxattr SYS_shmat
    SYS_shmctl SYS_shmdt SYS_shmget SYS_shutdown SYS_sigaltstack SYS_signalfd4 SYS_socketpair
    SYS_splice SYS_statfs SYS_statx SYS_symlinkat SYS_sync SYS_sync_file_range SYS_syncfs
    SYS_sysinfo SYS_tee SYS_tgkill SYS_timer_create SYS_timer_delete SYS_timer_getoverrun
    SYS_timer_gettime SYS_timer_settime SYS_timerfd_create SYS_timerfd_gettime
    SYS_timerfd_settime SYS_times SYS_tkill SYS_truncate SYS_umask SYS_uname SYS_unlinkat
    SYS_utimensat SYS_vmsplice SYS_wait4 SYS_waitid SYS_write SYS_writev
    // Answered by the second filter, which every caller meets first.
    SYS_clone3
};

/// Calls that only the oldest of the 64 bit tables still has.
#[cfg(target_arch = "x86_64")]
const OLD: &[i64] = calls! {
    SYS_access SYS_alarm SYS_arch_prctl SYS_chmod SYS_chown SYS_creat SYS_dup2 SYS_epoll_create
    SYS_epoll_ctl_old SYS_epoll_wait SYS_epoll_wait_old SYS_eventfd SYS_fork SYS_futimesat
    SYS_get_thread_area SYS_getdents SYS_getpgrp SYS_inotify_init SYS_lchown SYS_link SYS_lstat
    SYS_memfd_secret SYS_mkdir SYS_mknod SYS_modify_ldt SYS_open SYS_pause SYS_pipe SYS_poll
    SYS_readlink SYS_rename SYS_rmdir SYS_select SYS_set_thread_area SYS_signalfd SYS_stat
    SYS_symlink SYS_time SYS_unlink SYS_utime SYS_utimes SYS_vfork
};
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[i64] = &[];

/// Calls newer than the C library's headers; their numbers are the same everywhere since 5.1:
/// cachestat, fchmodat2, map_shadow_stack, futex_wake, futex_wait, futex_requeue, mseal,
/// setxattrat, getxattrat, listxattrat, removexattrat.
const NEW: &[i64] = &[451, 452, 453, 454, 455, 456, 462, 463, 464, 465, 466];

/// The last call this list was written with (open_tree_attr). What is newer is answered with
/// ENOSYS, so that a C library that tries it falls back to the older call; EPERM would be final.
const LAST_KNOWN: u32 = 467;

/// What a capability opens.
const BY_CAP: &[(&str, &[i64])] = &[
    ("BPF", calls! { SYS_bpf }),
    ("DAC_READ_SEARCH", calls! { SYS_open_by_handle_at }),
    ("PERFMON", calls! { SYS_perf_event_open }),
    (
        "SYS_ADMIN",
        calls! {
            SYS_bpf SYS_clone SYS_fanotify_init SYS_fsconfig SYS_fsmount SYS_fsopen SYS_fspick
            SYS_mount SYS_mount_setattr SYS_move_mount SYS_open_tree SYS_perf_event_open
            SYS_pivot_root SYS_quotactl SYS_quotactl_fd SYS_setdomainname SYS_sethostname
            SYS_setns SYS_swapoff SYS_swapon SYS_syslog SYS_umount2 SYS_unshare
        },
    ),
    ("SYS_BOOT", calls! { SYS_reboot }),
    ("SYS_CHROOT", calls! { SYS_chroot }),
    ("SYS_MODULE", calls! { SYS_delete_module SYS_finit_module SYS_init_module }),
    (
        "SYS_NICE",
        calls! { SYS_get_mempolicy SYS_mbind SYS_migrate_pages SYS_move_pages SYS_set_mempolicy },
    ),
    ("SYS_PACCT", calls! { SYS_acct }),
    ("SYS_PTRACE", calls! { SYS_kcmp SYS_pidfd_getfd SYS_process_madvise }),
    #[cfg(target_arch = "x86_64")]
    ("SYS_RAWIO", calls! { SYS_ioperm SYS_iopl }),
    ("SYS_TIME", calls! { SYS_clock_adjtime SYS_clock_settime SYS_settimeofday }),
    ("SYS_TTY_CONFIG", calls! { SYS_vhangup }),
    ("SYSLOG", calls! { SYS_syslog }),
];

/// The flags of clone that make a namespace.
const NAMESPACES: u64 = (libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWUTS) as u64;

/// Requests that put characters into another process' terminal input.
const TERMINAL_INPUT: [u64; 2] = [libc::TIOCSTI, libc::TIOCLINUX];

/// Socket families that speak past the network namespace (vsock) or only widen the kernel's
/// attack surface (alg).
const FAMILIES: [u64; 2] = [libc::AF_VSOCK as u64, libc::AF_ALG as u64];

/// The personalities that change nothing but what `uname` says (Docker's list).
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x20000, 0x20008, 0xffff_ffff];

/// The compiled filters, in the order of their installation.
#[derive(Debug, Clone)]
pub(crate) struct Filters {
    main: BpfProgram,
    absent: BpfProgram,
}

impl Filters {
    /// Compiles the filters for a process that holds `caps`.
    pub(crate) fn new(caps: &Caps) -> Result<Filters, Error> {
        let arch = std::env::consts::ARCH.try_into().map_err(Error::seccomp)?;
        let main = SeccompFilter::new(
            rules(caps)?,
            SeccompAction::Errno(libc::EPERM as u32),
            SeccompAction::Allow,
            arch,
        )
        .and_then(BpfProgram::try_from)
        .map_err(Error::seccomp)?;
        Ok(Filters { main, absent: absent() })
    }

    /// Confines the calling thread. The second filter is installed after the first because of two
    /// equally strict answers the kernel gives the one of the filter installed last.
    pub(crate) fn apply(&self) -> Result<(), seccompiler::Error> {
        seccompiler::apply_filter(&self.main)?;
        seccompiler::apply_filter(&self.absent)
    }
}

fn rules(caps: &Caps) -> Result<BTreeMap<i64, Vec<SeccompRule>>, Error> {
    let mut rules = BTreeMap::new();
    for list in [OPEN, OLD, NEW] {
        rules.extend(list.iter().map(|call| (*call, Vec::new())));
    }
    rules.insert(libc::SYS_clone, vec![all(&[arg(0, SeccompCmpOp::MaskedEq(NAMESPACES), 0)?])?]);
    rules.insert(libc::SYS_ioctl, vec![all(&differs(1, &TERMINAL_INPUT)?)?]);
    rules.insert(libc::SYS_socket, vec![all(&differs(0, &FAMILIES)?)?]);
    let personalities: Result<Vec<_>, Error> =
        PERSONALITIES.iter().map(|value| all(&[arg(0, SeccompCmpOp::Eq, *value)?])).collect();
    rules.insert(libc::SYS_personality, personalities?);
    for (cap, list) in BY_CAP {
        if caps.has(cap) {
            rules.extend(list.iter().map(|call| (*call, Vec::new())));
        }
    }
    Ok(rules)
}

fn arg(index: u8, op: SeccompCmpOp, value: u64) -> Result<SeccompCondition, Error> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, op, value).map_err(Error::seccomp)
}

fn differs(index: u8, from: &[u64]) -> Result<Vec<SeccompCondition>, Error> {
    from.iter().map(|value| arg(index, SeccompCmpOp::Ne, *value)).collect()
}

fn all(conditions: &[SeccompCondition]) -> Result<SeccompRule, Error> {
    SeccompRule::new(conditions.to_vec()).map_err(Error::seccomp)
}

/// Answers ENOSYS to clone3, whose flags lie in memory where no filter can see them, and to calls
/// newer than this list. Numbers from 2^30 on are the x32 table's: the first filter refuses them.
fn absent() -> BpfProgram {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const ABOVE: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    const NUMBER_AT: u32 = 0;
    let line = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        line(LOAD, 0, 0, NUMBER_AT),
        line(EQUAL, 3, 0, libc::SYS_clone3 as u32),
        line(ABOVE, 0, 1, LAST_KNOWN),
        line(ABOVE, 0, 1, 0x3fff_ffff),
        line(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
        line(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(caps: &[&str], call: i64, allowed: bool) {
        let add: Vec<String> = caps.iter().map(|cap| cap.to_string()).collect();
        let caps = Caps::new(&add, &[]).unwrap();
        assert_eq!(rules(&caps).unwrap().contains_key(&call), allowed, "call {call}");
    }

    #[test]
    fn a_capability_opens_its_calls_and_no_other_does() {
        check(&[], libc::SYS_read, true);
        check(&[], libc::SYS_chroot, true);
        check(&[], libc::SYS_mount, false);
        check(&[], libc::SYS_unshare, false);
        check(&[], libc::SYS_bpf, false);
        check(&[], libc::SYS_io_uring_setup, false);
        check(&[], libc::SYS_keyctl, false);
        check(&["SYS_ADMIN"], libc::SYS_mount, true);
        check(&["SYS_TIME"], libc::SYS_mount, false);
        check(&["SYS_TIME"], libc::SYS_clock_settime, true);
    }

    /// What a confined thread is answered; a filter binds one thread, so the others stay free.
    fn answer(call: i64, args: [u64; 3]) -> i32 {
        let filters = Filters::new(&Caps::new(&[], &[]).unwrap()).unwrap();
        let confined = std::thread::spawn(move || {
            filters.apply().unwrap();
            // SAFETY: every call of the cases below is refused or takes plain numbers.
            match unsafe { libc::syscall(call, args[0], args[1], args[2]) } {
                -1 => nix::errno::Errno::last_raw(),
                _ => 0,
            }
        });
        confined.join().unwrap()
    }

    #[test]
    fn calls_are_answered_as_the_tables_say() {
        let cases = [
            (libc::SYS_getppid, [0; 3], 0),
            (libc::SYS_clone3, [0; 3], libc::ENOSYS),
            (i64::from(LAST_KNOWN) + 1, [0; 3], libc::ENOSYS),
            (libc::SYS_mount, [0; 3], libc::EPERM),
            (libc::SYS_keyctl, [0; 3], libc::EPERM),
            (libc::SYS_clone, [libc::CLONE_NEWUSER as u64, 0, 0], libc::EPERM),
            (libc::SYS_ioctl, [99, libc::TIOCSTI, 0], libc::EPERM),
            // Beyond the width of a request: the kernel ignores what is above.
            (libc::SYS_ioctl, [99, 1 << 32 | libc::TIOCSTI, 0], libc::EPERM),
            (libc::SYS_ioctl, [99, libc::FIONREAD, 0], libc::EBADF),
            (libc::SYS_socket, [libc::AF_VSOCK as u64, 1, 0], libc::EPERM),
            (libc::SYS_socket, [libc::AF_ALG as u64, 5, 0], libc::EPERM),
            (libc::SYS_personality, [0xffff_ffff, 0, 0], 0),
            (libc::SYS_personality, [0x0040_0000, 0, 0], libc::EPERM),
            #[cfg(target_arch = "x86_64")]
            (libc::SYS_getppid | 1 << 30, [0; 3], libc::EPERM),
        ];
        for (call, args, expected) in cases {
            assert_eq!(answer(call, args), expected, "call {call} {args:x?}");
        }
    }

    #[test]
    fn the_filter_fits_into_the_kernels_limit() {
        let filters = Filters::new(&Caps::new(&[], &[]).unwrap()).unwrap();
        assert!(filters.main.len() < 4096, "{}", filters.main.len());
    }
}
