#define _GNU_SOURCE
#include "sandbox_calls.h"
#include "sandbox.h"

#include <sys/syscall.h>

#define ALL(name) {SYS_##name, LIMPET_BY_ALL, LIMPET_ANYHOW},
#define PROCESS(name) {SYS_##name, LIMPET_BY_PROCESS, LIMPET_ANYHOW},

const limpet_call limpet_allowed[] = {
    /* Forwarding. */
    ALL(recvfrom) ALL(sendto) ALL(epoll_pwait) ALL(splice) ALL(epoll_ctl) ALL(read) ALL(write) ALL(close)
    ALL(accept4) ALL(connect) {SYS_socket, LIMPET_BY_ALL, LIMPET_SOME_SOCKETS}, ALL(shutdown) ALL(setsockopt)
    ALL(getsockopt) ALL(getsockname) ALL(getpeername) ALL(bind) ALL(listen) ALL(accept) ALL(pipe2) ALL(fcntl)
    {SYS_ioctl, LIMPET_BY_ALL, LIMPET_SOME_REQUESTS}, ALL(futex) ALL(clock_gettime) ALL(gettimeofday) ALL(tee)
    ALL(recvmsg) ALL(sendmsg) ALL(recvmmsg) ALL(sendmmsg) ALL(readv) ALL(writev) ALL(preadv) ALL(pwritev)
    ALL(pread64) ALL(pwrite64) ALL(socketpair) ALL(ppoll) ALL(pselect6) ALL(epoll_create1) ALL(eventfd2)
    ALL(timerfd_create) ALL(timerfd_settime) ALL(timerfd_gettime) ALL(signalfd4) ALL(dup) ALL(dup3)
    ALL(close_range) ALL(lseek) ALL(nanosleep) ALL(clock_nanosleep) ALL(clock_getres) ALL(sendfile)
    ALL(copy_file_range)
#ifdef SYS_epoll_pwait2
    ALL(epoll_pwait2)
#endif
    /* Memory. */
    {SYS_mmap, LIMPET_BY_ALL, LIMPET_NEVER_BOTH}, ALL(munmap) ALL(mremap) ALL(madvise) ALL(brk) ALL(membarrier)
    ALL(mincore) ALL(memfd_create) ALL(ftruncate) ALL(fallocate) ALL(process_vm_readv)
#ifdef __x86_64__
    {SYS_mprotect, LIMPET_BY_THREADS, LIMPET_NO_CODE}, {SYS_mprotect, LIMPET_BY_PROCESS, LIMPET_NEVER_BOTH},
#else
    /* A loader marks code by it. */
    {SYS_mprotect, LIMPET_BY_ALL, LIMPET_NEVER_BOTH},
#endif
    /* Files. */
    ALL(openat) ALL(openat2) ALL(fstat) ALL(newfstatat) ALL(statx) ALL(statfs) ALL(fstatfs) ALL(faccessat)
    ALL(faccessat2) ALL(readlinkat) ALL(getcwd) ALL(getdents64) ALL(renameat) ALL(renameat2) ALL(unlinkat) ALL(mkdirat)
    ALL(fchmod) ALL(fchmodat) ALL(fchown) ALL(fchownat) ALL(fsync) ALL(fdatasync) ALL(flock) ALL(umask) ALL(fadvise64)
    ALL(sync_file_range) ALL(getxattr) ALL(setxattr) ALL(removexattr) ALL(fgetxattr) ALL(fsetxattr)
    /* Threads and signals. */
    {SYS_clone, LIMPET_BY_THREADS, LIMPET_THREADS_ONLY}, {SYS_clone, LIMPET_BY_PROCESS, LIMPET_NO_NAMESPACES},
    {SYS_clone3, LIMPET_BY_ALL, LIMPET_ABSENT}, ALL(exit) ALL(exit_group) ALL(set_robust_list) ALL(get_robust_list)
    ALL(rseq) ALL(set_tid_address) ALL(sched_yield) ALL(sched_getaffinity) ALL(sched_setaffinity) ALL(sched_getparam)
    ALL(sched_getscheduler) ALL(sched_get_priority_max) ALL(sched_get_priority_min) ALL(getcpu) ALL(rt_sigaction)
    ALL(rt_sigprocmask) ALL(rt_sigreturn) ALL(rt_sigpending) ALL(rt_sigtimedwait) ALL(rt_sigsuspend)
    ALL(rt_sigqueueinfo) ALL(rt_tgsigqueueinfo) ALL(sigaltstack) ALL(kill) ALL(tkill) ALL(tgkill) ALL(pidfd_open)
    ALL(pidfd_send_signal) ALL(restart_syscall) ALL(futex_waitv)
    /* Who and where we are. */
    ALL(getpid) ALL(gettid) ALL(getppid) ALL(getpgid) ALL(getsid) ALL(getuid) ALL(geteuid) ALL(getgid) ALL(getegid)
    ALL(getresuid) ALL(getresgid) ALL(getgroups) ALL(uname) ALL(sysinfo) ALL(getrandom) ALL(getrusage) ALL(times)
    ALL(getrlimit) ALL(prlimit64) ALL(setrlimit) ALL(capget) ALL(capset) ALL(getpriority)
    {SYS_prctl, LIMPET_BY_THREADS, LIMPET_SOME_OPTIONS}, PROCESS(prctl)
    /* To become a keeper, and what a keeper does. */
    PROCESS(execve) PROCESS(execveat) ALL(wait4) ALL(waitid) PROCESS(seccomp) PROCESS(landlock_create_ruleset)
    PROCESS(landlock_add_rule) PROCESS(landlock_restrict_self)
#ifdef __x86_64__
    ALL(epoll_wait) ALL(poll) ALL(select) ALL(pipe) ALL(dup2) ALL(eventfd) ALL(epoll_create) ALL(open) ALL(stat)
    ALL(lstat) ALL(access) ALL(readlink) ALL(getdents) ALL(rename) ALL(unlink) ALL(mkdir) ALL(chmod) ALL(chown)
    ALL(lchown) ALL(time) ALL(getpgrp) ALL(arch_prctl) ALL(pause) ALL(alarm) PROCESS(vfork) PROCESS(fork)
#endif
};
const unsigned limpet_allowed_count = sizeof limpet_allowed / sizeof *limpet_allowed;

#define NONE(name) {SYS_##name, LIMPET_BY_ALL, LIMPET_ANYHOW},

const limpet_call limpet_denied[] = {
    /* Into other processes. */
    NONE(ptrace) NONE(process_vm_writev) NONE(kcmp) NONE(process_madvise) NONE(pidfd_getfd)
    /* What is known for holes, and what nobody here uses. */
    NONE(bpf) NONE(perf_event_open) NONE(userfaultfd) NONE(io_uring_setup) NONE(io_uring_enter) NONE(io_uring_register)
    NONE(keyctl) NONE(add_key) NONE(request_key) NONE(personality) NONE(fanotify_init) NONE(open_by_handle_at)
    NONE(name_to_handle_at) NONE(vmsplice) NONE(mq_open) NONE(lookup_dcookie) NONE(remap_file_pages)
    NONE(move_pages) NONE(migrate_pages) NONE(memfd_secret)
    /* Namespaces and mounts. */
    NONE(unshare) NONE(setns) NONE(mount) NONE(umount2) NONE(pivot_root) NONE(chroot) NONE(mount_setattr)
    NONE(move_mount) NONE(open_tree) NONE(fsopen) NONE(fsmount) NONE(fsconfig) NONE(fspick)
    {SYS_clone, LIMPET_BY_ALL, LIMPET_NO_NAMESPACES}, {SYS_clone3, LIMPET_BY_ALL, LIMPET_ABSENT},
    /* The machine. */
    NONE(init_module) NONE(finit_module) NONE(delete_module) NONE(kexec_load) NONE(reboot) NONE(swapon) NONE(swapoff)
    NONE(acct) NONE(quotactl) NONE(quotactl_fd) NONE(settimeofday) NONE(clock_settime) NONE(clock_adjtime)
    NONE(adjtimex) NONE(sethostname) NONE(setdomainname) NONE(syslog) NONE(vhangup) NONE(nfsservctl)
    NONE(mknodat) NONE(symlinkat) NONE(linkat)
#ifdef SYS_kexec_file_load
    NONE(kexec_file_load)
#endif
#ifdef __x86_64__
    NONE(iopl) NONE(ioperm) NONE(modify_ldt) NONE(uselib) NONE(ustat) NONE(sysfs) NONE(_sysctl) NONE(create_module)
    NONE(get_kernel_syms) NONE(query_module) NONE(mknod) NONE(symlink) NONE(link)
#endif
};
const unsigned limpet_denied_count = sizeof limpet_denied / sizeof *limpet_denied;

int32_t limpet_call_needed(uint32_t index) {
    return index < limpet_allowed_count ? limpet_allowed[index].number : -1;
}

int32_t limpet_call_denied(uint32_t index) {
    if (index >= limpet_denied_count) return -1;
    return limpet_denied[index].manner == LIMPET_ANYHOW ? limpet_denied[index].number : -2;
}
