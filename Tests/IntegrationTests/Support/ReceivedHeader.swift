import Foundation

/// Headers as a proxy before the daemon sends them, made here by hand.
struct ReceivedHeader: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let bytes: [UInt8]
    /// What they say; nil: nothing.
    var client: String?
    var local: String?

    static let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10]

    static func v2(
        _ client: String, _ port: UInt16, _ local: String, _ localPort: UInt16, fields: [UInt8] = []
    ) -> [UInt8] {
        let isV6 = client.contains(":")
        var body: [UInt8] = []
        for address in [client, local] {
            var bytes = [UInt8](repeating: 0, count: isV6 ? 16 : 4)
            inet_pton(isV6 ? AF_INET6 : AF_INET, address, &bytes)
            body += bytes
        }
        for port in [port, localPort] { body += [UInt8(port >> 8), UInt8(port & 255)] }
        body += fields
        return signature + [0x21, isV6 ? 0x21 : 0x11, UInt8(body.count >> 8), UInt8(body.count & 255)] + body
    }

    static let all: [ReceivedHeader] = [
        ReceivedHeader(
            testDescription: "v1 IPv4", bytes: Array("PROXY TCP4 203.0.113.7 192.0.2.1 50412 443\r\n".utf8),
            client: "203.0.113.7:50412", local: "192.0.2.1:443"),
        ReceivedHeader(
            testDescription: "v1 IPv6", bytes: Array("PROXY TCP6 2001:db8::7 2001:db8::1 1 65535\r\n".utf8),
            client: "[2001:db8::7]:1", local: "[2001:db8::1]:65535"),
        ReceivedHeader(testDescription: "v1 UNKNOWN", bytes: Array("PROXY UNKNOWN whatever\r\n".utf8)),
        ReceivedHeader(
            testDescription: "v2 IPv4", bytes: v2("203.0.113.7", 50412, "192.0.2.1", 443, fields: [4, 0, 2, 0, 0]),
            client: "203.0.113.7:50412", local: "192.0.2.1:443"),
        ReceivedHeader(
            testDescription: "v2 IPv6", bytes: v2("2001:db8::7", 1, "2001:db8::1", 65535),
            client: "[2001:db8::7]:1", local: "[2001:db8::1]:65535"),
        ReceivedHeader(testDescription: "v2 LOCAL", bytes: signature + [0x20, 0, 0, 0]),
    ]
}
