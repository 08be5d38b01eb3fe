import Foundation

/// What /proc says about a process.
struct ProcessFacts {
    var pid: pid_t

    /// Open descriptors.
    var descriptorCount: Int {
        (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count) ?? 0
    }

    /// The largest number of an open descriptor.
    var highestDescriptor: Int {
        (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").compactMap { Int($0) }.max()) ?? 0
    }

    /// Resident memory without what it shares with files and other processes, in bytes: anonymous memory and tmpfs or memfd pages.
    var residentBytes: Int { (status(of: pid, "RssAnon") + status(of: pid, "RssShmem")) * 1024 }

    /// Memory that it has written and shares with nobody, in bytes.
    var privateDirtyBytes: Int {
        for line in read("/proc/\(pid)/smaps_rollup").split(separator: "\n") where line.hasPrefix("Private_Dirty:") {
            return (line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 1024
        }
        return 0
    }

    /// Its name, as ps(1) shows it.
    var name: String { read("/proc/\(pid)/comm").trimmingCharacters(in: .whitespacesAndNewlines) }

    /// Processor time so far, user and system, in ticks of sysconf(_SC_CLK_TCK).
    var cpuTicks: Int {
        let fields = statFields
        // The first of these is the ")" of field 2, so that utime and stime, fields 14 and 15, are at 12 and 13.
        return fields.count > 13 ? (Int(fields[12]) ?? 0) + (Int(fields[13]) ?? 0) : 0
    }

    /// Processor time so far.
    var cpuTime: Duration { .milliseconds(cpuTicks * 1000 / sysconf(Int32(_SC_CLK_TCK))) }

    /// Whether a signal has stopped it.
    var isStopped: Bool { statFields.dropFirst().first == "T" }

    /// Whether it has ended and nobody has waited for it yet.
    var isZombie: Bool { statFields.dropFirst().first == "Z" }

    /// The processes that its first thread has started and that have not been waited for, but for zombies.
    var children: [pid_t] {
        read("/proc/\(pid)/task/\(pid)/children").split(separator: " ").compactMap { pid_t($0) }
            .filter { !ProcessFacts(pid: $0).isZombie }
    }

    /// Its process group.
    var group: pid_t? { statField(3) }

    /// Its parent.
    var parent: pid_t? { statField(2) }

    /// Reads once: it may be gone at the next look.
    private func statField(_ index: Int) -> pid_t? {
        let fields = statFields
        return fields.count > index ? pid_t(fields[index]) : nil
    }

    /// Of /proc/PID/stat, from the parenthesis that ends the name on; empty where there is no such process.
    private var statFields: [Substring] {
        let text = read("/proc/\(pid)/stat")
        return text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ")
    }

    var threadIDs: [pid_t] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []).compactMap { pid_t($0) }
    }

    /// A field of /proc/PID/task/TID/status, as it stands there.
    func field(_ name: String, thread: pid_t) -> String? {
        for line in read("/proc/\(pid)/task/\(thread)/status").split(separator: "\n") where line.hasPrefix("\(name):") {
            return line.dropFirst(name.count + 1).trimmingCharacters(in: .whitespaces)
        }
        return nil
    }

    private func status(of thread: pid_t, _ name: String) -> Int {
        field(name, thread: thread)?.split(separator: " ").first.flatMap { Int($0) } ?? 0
    }

    private func read(_ path: String) -> String { contents(ofKernelFile: path) }
}

/// What a file in /proc says; nothing where it cannot be read. Their size is 0, and one read gives only a part of the
/// long ones.
func contents(ofKernelFile path: String) -> String {
    let fd = open(path, O_RDONLY)
    guard fd >= 0 else { return "" }
    defer { close(fd) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = read(fd, &buffer, buffer.count)
        if count <= 0 { return String(decoding: bytes, as: UTF8.self) }
        bytes += buffer.prefix(count)
    }
}
