import Addressing
import Testing

@testable import Forwarding

/// Vectors made by hand from the text of the protocol, not by this code.
@Suite struct ProxyHeaderTests {
    private func header(_ version: ProxyHeader.Version, _ client: String?, _ local: String?) throws -> [UInt8] {
        let client = try client.map { try Endpoint(parsing: $0) }
        let local = try local.map { try Endpoint(parsing: $0) }
        // A buffer of just the promised size, with something in it.
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: ProxyHeader.longest, alignment: 1)
        defer { buffer.deallocate() }
        buffer.initializeMemory(as: UInt8.self, repeating: 0xa5)
        let length = ProxyHeader.write(version, client: client, local: local, into: buffer)
        #expect(buffer[length...].allSatisfy { $0 == 0xa5 })
        return Array(buffer[..<length])
    }

    static let lines: [(client: String?, local: String?, line: String)] = [
        ("192.168.0.1:56324", "192.168.0.11:443", "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443"),
        ("0.0.0.0:1", "255.255.255.255:65535", "PROXY TCP4 0.0.0.0 255.255.255.255 1 65535"),
        ("10.20.30.40:0", "1.2.3.4:10", "PROXY TCP4 10.20.30.40 1.2.3.4 0 10"),
        ("1.10.100.101:100", "9.99.199.209:10000", "PROXY TCP4 1.10.100.101 9.99.199.209 100 10000"),
        ("[2001:db8::1]:4000", "[2001:db8::2]:80", "PROXY TCP6 2001:db8::1 2001:db8::2 4000 80"),
        ("[::]:1", "[::1]:2", "PROXY TCP6 :: ::1 1 2"),
        ("[1::]:1", "[0:1:0:0:1::]:2", "PROXY TCP6 1:: 0:1:0:0:1:: 1 2"),
        ("[1:0:0:2:0:0:0:3]:1", "[fe80::a0b:c:d0:ef]:2", "PROXY TCP6 1:0:0:2::3 fe80::a0b:c:d0:ef 1 2"),
        ("[1:0:2:3:4:5:6:7]:1", "[0:1:2:3:4:5:6:7]:2", "PROXY TCP6 1:0:2:3:4:5:6:7 0:1:2:3:4:5:6:7 1 2"),
        (
            "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[abcd:ef01:2345:6789:abcd:ef01:2345:6789]:65535",
            "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff abcd:ef01:2345:6789:abcd:ef01:2345:6789 65535 65535"
        ),
        ("[::ffff:192.0.2.1]:5", "[::ffff:192.0.2.2]:6", "PROXY TCP4 192.0.2.1 192.0.2.2 5 6"),
        ("[::ffff:192.0.2.1]:5", "192.0.2.2:6", "PROXY TCP4 192.0.2.1 192.0.2.2 5 6"),
        ("192.0.2.1:5", "[2001:db8::2]:6", "PROXY TCP6 ::ffff:c000:201 2001:db8::2 5 6"),
        (nil, "192.0.2.2:6", "PROXY UNKNOWN"),
        ("192.0.2.1:5", nil, "PROXY UNKNOWN"),
        (nil, nil, "PROXY UNKNOWN"),
    ]

    @Test(arguments: lines)
    func versionOne(client: String?, local: String?, line: String) throws {
        #expect(String(decoding: try header(.v1, client, local), as: UTF8.self) == line + "\r\n")
    }

    private static let signature: [UInt8] = [
        0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a,
    ]

    static let binaries: [(client: String?, local: String?, rest: [UInt8])] = [
        (
            "192.168.0.1:56324", "192.168.0.11:443",
            [0x21, 0x11, 0, 12, 192, 168, 0, 1, 192, 168, 0, 11, 0xdc, 0x04, 0x01, 0xbb]
        ),
        (
            "[2001:db8::1]:4000", "[fe80::a0b:c:d0:ef]:80",
            [
                0x21, 0x21, 0, 36,
                0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
                0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x0a, 0x0b, 0x00, 0x0c, 0x00, 0xd0, 0x00, 0xef,
                0x0f, 0xa0, 0x00, 0x50,
            ]
        ),
        (
            "[::ffff:192.0.2.1]:5", "[::ffff:192.0.2.2]:6",
            [0x21, 0x11, 0, 12, 192, 0, 2, 1, 192, 0, 2, 2, 0, 5, 0, 6]
        ),
        (
            "192.0.2.1:5", "[2001:db8::2]:6",
            [
                0x21, 0x21, 0, 36,
                0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1,
                0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
                0, 5, 0, 6,
            ]
        ),
        (nil, "192.0.2.2:6", [0x20, 0, 0, 0]),
        ("[2001:db8::2]:6", nil, [0x20, 0, 0, 0]),
    ]

    @Test(arguments: binaries)
    func versionTwo(client: String?, local: String?, rest: [UInt8]) throws {
        #expect(try header(.v2, client, local) == Self.signature + rest)
    }

    /// The record counts a header's bytes in 8 bits.
    @Test func theLongestFitsTheRecord() {
        #expect(ProxyHeader.longest <= Int(UInt8.max))
    }
}
