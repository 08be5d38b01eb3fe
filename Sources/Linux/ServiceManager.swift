public import Addressing
internal import CLinux
internal import Glibc

/// The service manager that has started this process and wants to hear how it is doing, see sd_notify(3). A plain value;
/// any thread may use it.
public struct ServiceManager: Sendable, Equatable {
    /// Names its socket in the environment.
    public static let variable = "NOTIFY_SOCKET"

    /// Where it listens.
    public let path: UnixPath

    /// - Parameter text: the variable's value: a path, or an abstract name after `@`. nil for anything else, as for a
    ///   process that nobody wants to hear of.
    public init?(_ text: String?) {
        guard let text, let path = try? UnixPath(parsing: UnixPath.prefix + text) else { return nil }
        self.path = path
    }

    /// Of this process's environment.
    public static var own: ServiceManager? { ServiceManager(Environment.value(variable)) }

    /// Within which time it wants to hear from us again and again, in µs; nil: it does not. See sd_watchdog_enabled(3).
    /// - Parameters:
    ///   - interval: $WATCHDOG_USEC.
    ///   - process: $WATCHDOG_PID, whose business it is; nil: anybody's who has the variable.
    public static func watchdog(interval: String?, process: String?, own: Int32) -> UInt64? {
        guard let interval, let microseconds = UInt64(interval), microseconds > 0, microseconds < .max else {
            return nil
        }
        if let process, Int32(process) != own { return nil }
        return microseconds
    }

    /// A socket to tell it by: unconnected, as it may have another one of this name tomorrow.
    /// - Returns: nil where there is none to be had. Close-on-exec.
    public static func openSocket() -> Int32? {
        let descriptor = socket(
            AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        return descriptor < 0 ? nil : descriptor
    }

    /// Sends assignments, such as `READY=1`, one in a line, all or none of them. Does not wait.
    /// - Returns: nil: sent. ``Errno/wouldBlock``: it reads too slowly.
    @discardableResult
    public func tell(_ message: String, by descriptor: Int32) -> Errno? {
        let bytes = Array(message.utf8)
        return SocketAddress(path).withPointer { address, length in
            sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), address, length) < 0 ? .last : nil
        }
    }
}
