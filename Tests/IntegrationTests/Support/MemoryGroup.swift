import Foundation

/// A control group with a limit of memory, below the group of this process: of the second version of control groups, or of the
/// first. For root.
struct MemoryGroup {
    let path: String
    private let limitFile: String
    private let usageFile: String
    private let unlimited: String

    /// The directory of this process's group, and whether it is of the second version.
    private static let own: (path: String, isSecond: Bool)? = {
        for line in contents(ofKernelFile: "/proc/self/cgroup").split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            if parts[1] == "memory" { return ("/sys/fs/cgroup/memory\(parts[2])", false) }
            let second = "/sys/fs/cgroup\(parts[2])"
            if parts[0] == "0", contents(ofKernelFile: second + "/cgroup.controllers").contains("memory") {
                return (second, true)
            }
        }
        return nil
    }()

    static let isPossible: Bool = {
        guard isRoot, let group = try? MemoryGroup() else { return false }
        defer { group.remove() }
        return (try? group.squeeze(to: 1 << 30)) != nil
    }()

    init() throws {
        guard let own = MemoryGroup.own else { throw SocketFailure(call: "no memory controller", code: ENOENT) }
        // Of the second version, a group with processes of its own has no children with limits: a sibling will do.
        let parent = own.isSecond ? (own.path as NSString).deletingLastPathComponent : own.path
        path = "\(parent)/limpet-test-\(getpid())-\(UInt32.random(in: 0 ..< .max))"
        guard mkdir(path, 0o755) == 0 else { throw SocketFailure(call: path, code: errno) }
        limitFile = path + (own.isSecond ? "/memory.max" : "/memory.limit_in_bytes")
        usageFile = path + (own.isSecond ? "/memory.current" : "/memory.usage_in_bytes")
        unlimited = own.isSecond ? "max" : "-1"
    }

    /// Leaves a megabyte more than is used now.
    func squeeze() throws {
        let used = Int(contents(ofKernelFile: usageFile).trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
        try squeeze(to: used + 1 << 20)
    }

    func squeeze(to bytes: Int) throws {
        guard write(limitFile, "\(bytes)") else { throw SocketFailure(call: limitFile, code: errno) }
    }

    func release() { _ = write(limitFile, unlimited) }

    /// Once nobody is in it any more.
    func remove() {
        for _ in 0..<100 where rmdir(path) != 0 && errno == EBUSY { usleep(20_000) }
    }

    private func write(_ path: String, _ text: String) -> Bool {
        let fd = open(path, O_WRONLY)
        guard fd >= 0 else { return false }
        defer { close(fd) }
        return Glibc.write(fd, text, text.utf8.count) >= 0
    }
}
