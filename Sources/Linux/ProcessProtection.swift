internal import CLinux
internal import Glibc

/// What a process denies others, and itself, beyond ids and capabilities. For its only thread.
public enum ProcessProtection {
    /// No core file, whoever asks for one: keys and clients' bytes would be in it, and the kernel takes its time over it.
    /// nil: done.
    public static func forbidCoreFiles() -> Errno? {
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        return setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none) == 0 ? nil : .last
    }

    /// Whether other processes of the same user may look into this one: its memory, its descriptors; and whether the kernel
    /// gives its memory to who collects cores. An exec forgets it, see PR_SET_DUMPABLE in prctl(2). nil: done.
    public static func setDumpable(_ isDumpable: Bool) -> Errno? {
        limpet_set_dumpable(isDumpable ? 1 : 0) == 0 ? nil : .last
    }

    /// What is made from here on is the user's own, unless it is said at once whose else it is. See umask(2).
    public static func keepFilesPrivate() { _ = umask(0o077) }
}

/// How soon this process is ended where the machine has no memory left: /proc/self/oom_score_adj, see proc(5).
public enum OOMScore {
    /// Opens it. While it can be: once the process may not be looked into any more it is root's. Close-on-exec.
    /// - Returns: nil: there is no way to it.
    public static func open() -> Int32? {
        let descriptor = Glibc.open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC)
        return descriptor < 0 ? nil : descriptor
    }

    /// −1000 … 1000; nil: it cannot be read.
    public static func read(_ descriptor: Int32) -> Int32? {
        var bytes = [UInt8](repeating: 0, count: 16)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        guard count > 0 else { return nil }
        return Int32(String(decoding: bytes.prefix(count).prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self))
    }

    /// Whoever may not do so cannot go below what somebody privileged has set. nil: done.
    @discardableResult
    public static func write(_ descriptor: Int32, _ score: Int32) -> Errno? {
        let bytes = Array("\(score)".utf8)
        return pwrite(descriptor, bytes, bytes.count, 0) == bytes.count ? nil : .last
    }
}
