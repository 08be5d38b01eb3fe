import Foundation

/// A numeric address and a TCP port, or the path of a Unix socket, with its `sockaddr`. Of the tests' own, so that a mistake
/// in the code under test is not made twice.
struct SocketAddress: Hashable, Sendable, CustomStringConvertible {
    /// Numeric, without brackets; a link-local IPv6 address with its zone, `fe80::1%eth0`; of a Unix socket `unix:` and its
    /// path, or `unix:@` and an abstract name.
    var host: String
    var port: UInt16

    init(_ host: String, _ port: UInt16) {
        self.host = host
        self.port = port
    }

    /// Reads `1.2.3.4:80`, `[::1]:80` and `unix:/path`.
    init?(_ text: String) {
        if text.hasPrefix("unix:") {
            self.init(text, 0)
            return
        }
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        self.init(text[..<colon].trimmingCharacters(in: CharacterSet(charactersIn: "[]")), port)
    }

    var isUnix: Bool { host.hasPrefix("unix:") }
    var isIPv6: Bool { host.contains(":") && !isUnix }

    var description: String { isUnix ? host : isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Calls `body` with the address as bind(2) and connect(2) take it.
    func withSockaddr<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) throws -> R) rethrows -> R {
        if isUnix {
            var raw = sockaddr_un()
            raw.sun_family = sa_family_t(AF_UNIX)
            let name = Array(host.dropFirst(5).utf8)
            withUnsafeMutableBytes(of: &raw.sun_path) { $0.copyBytes(from: name) }
            if name.first == UInt8(ascii: "@") { raw.sun_path.0 = 0 }
            return try withUnsafeBytes(of: &raw) {
                try body($0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(2 + name.count))
            }
        }
        if isIPv6 {
            var raw = sockaddr_in6()
            raw.sin6_family = sa_family_t(AF_INET6)
            raw.sin6_port = port.bigEndian
            let parts = host.split(separator: "%")
            precondition(inet_pton(AF_INET6, String(parts[0]), &raw.sin6_addr) == 1, "not an address: \(host)")
            if parts.count == 2 { raw.sin6_scope_id = if_nametoindex(String(parts[1])) }
            return try withUnsafeBytes(of: &raw) {
                try body($0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
            }
        }
        var raw = sockaddr_in()
        raw.sin_family = sa_family_t(AF_INET)
        raw.sin_port = port.bigEndian
        precondition(inet_pton(AF_INET, host, &raw.sin_addr) == 1, "not an address: \(host)")
        return try withUnsafeBytes(of: &raw) {
            try body($0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
        }
    }

    /// The address that getsockname(2), getpeername(2) or accept(2) fills in; nil where it fails.
    static func filled(by call: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32)
        -> SocketAddress?
    {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { call($0, &length) }
        }
        guard result >= 0 else { return nil }
        var text = [CChar](repeating: 0, count: 64)
        let family = storage.ss_family
        if family == sa_family_t(AF_UNIX) {
            let name = withUnsafeBytes(of: &storage) { Array($0[2..<Int(max(length, 2))]) }
            let isAbstract = name.first == 0
            let text = String(decoding: isAbstract ? name.dropFirst() : name.prefix { $0 != 0 }, as: UTF8.self)
            return SocketAddress("unix:" + (isAbstract ? "@" : "") + text, 0)
        }
        return withUnsafePointer(to: &storage) { pointer -> SocketAddress? in
            if family == sa_family_t(AF_INET6) {
                return pointer.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                    var address = $0.pointee.sin6_addr
                    guard inet_ntop(AF_INET6, &address, &text, 64) != nil else { return nil }
                    var host = textOf(text)
                    var name = [CChar](repeating: 0, count: 16)
                    if $0.pointee.sin6_scope_id != 0, if_indextoname($0.pointee.sin6_scope_id, &name) != nil {
                        host += "%" + textOf(name)
                    }
                    return SocketAddress(host, UInt16(bigEndian: $0.pointee.sin6_port))
                }
            }
            return pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                var address = $0.pointee.sin_addr
                guard inet_ntop(AF_INET, &address, &text, 64) != nil else { return nil }
                return SocketAddress(textOf(text), UInt16(bigEndian: $0.pointee.sin_port))
            }
        }
    }

    private static func textOf(_ characters: [CChar]) -> String {
        String(decoding: characters.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}

/// The `number`-th of 60,000 loopback addresses that stand for different clients: 127.1.0.1 and up, never one ending in
/// 0 or 255.
func clientHost(_ number: Int) -> String {
    "127.\(1 + number / 62_500).\(number / 250 % 250).\(1 + number % 250)"
}
