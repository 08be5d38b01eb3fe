import Foundation
import Synchronization

/// A service manager's end of sd_notify(3): a datagram socket that writes down what it is told, and by whom.
final class NotifySocket: Sendable {
    struct Message: Equatable {
        /// The process that sent it, as the kernel says.
        var sender: pid_t
        /// Its lines.
        var lines: [String]

        /// What it assigns to a name; nil: nothing.
        func value(_ name: String) -> String? {
            lines.first { $0.hasPrefix("\(name)=") }.map { String($0.dropFirst(name.count + 1)) }
        }
    }

    /// As $NOTIFY_SOCKET has it.
    let address: String
    private let descriptor: Int32
    private let received = Mutex<[Message]>([])

    /// - Parameter address: a path, or an abstract name after `@`.
    init(_ address: String) throws {
        self.address = address
        let own = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        descriptor = own
        var one: Int32 = 1
        setsockopt(own, SOL_SOCKET, SO_PASSCRED, &one, 4)
        // So that the thread ends with the test.
        var rest = timeval(tv_sec: 0, tv_usec: 100_000)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &rest, socklen_t(MemoryLayout<timeval>.size))
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: address.utf8) }
        if address.hasPrefix("@") { name.sun_path.0 = 0 }
        let length = socklen_t(MemoryLayout<sockaddr_un>.offset(of: \.sun_path)! + address.utf8.count)
        let result = withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(own, $0, length) }
        }
        guard result == 0 else { throw SocketFailure(call: "bind \(address)", code: errno) }
        if !address.hasPrefix("@") { chmod(address, 0o777) }
        Thread.detachNewThread { [weak self] in
            while true {
                let message = NotifySocket.receive(own)
                guard let self else { break }
                if let message { self.received.withLock { $0.append(message) } }
            }
            close(own)
        }
    }

    var messages: [Message] { received.withLock { $0 } }

    /// All that was assigned to a name, in order.
    func values(_ name: String) -> [String] { messages.compactMap { $0.value(name) } }

    /// The states that were told, in order: all but words, signs of life and times.
    var states: [String] {
        messages.flatMap { $0.lines.filter { ["READY=1", "RELOADING=1", "STOPPING=1"].contains($0) } }
    }

    private static func receive(_ descriptor: Int32) -> Message? {
        var bytes = [UInt8](repeating: 0, count: 4096)
        var control = [UInt8](repeating: 0, count: 256)
        return bytes.withUnsafeMutableBytes { bytes in
            control.withUnsafeMutableBytes { control -> Message? in
                var part = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
                return withUnsafeMutablePointer(to: &part) { part -> Message? in
                    var header = msghdr()
                    header.msg_iov = part
                    header.msg_iovlen = 1
                    header.msg_control = control.baseAddress
                    header.msg_controllen = control.count
                    let count = recvmsg(descriptor, &header, 0)
                    guard count > 0 else { return nil }
                    // A cmsghdr of 16 bytes, then struct ucred, whose first word is the process.
                    let sender = control.loadUnaligned(fromByteOffset: 16, as: Int32.self)
                    let text = String(decoding: bytes.prefix(count), as: UTF8.self)
                    return Message(sender: sender, lines: text.split(separator: "\n").map(String.init))
                }
            }
        }
    }
}
