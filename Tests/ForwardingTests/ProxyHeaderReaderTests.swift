import Addressing
import Testing

@testable import Forwarding

/// Headers made by hand from the text of the protocol, whole, cut, mutilated and none at all.
@Suite struct ProxyHeaderReaderTests {
    typealias Reading = ProxyHeader.Reading

    private func read(_ bytes: [UInt8]) -> Reading { bytes.withUnsafeBytes { ProxyHeader.read($0) } }
    private func read(_ text: String) -> Reading { read(Array(text.utf8)) }

    private func whole(
        _ version: ProxyHeader.Version, _ length: Int, _ client: String?, _ local: String?, fields: Range<Int> = 0..<0
    ) throws -> Reading {
        var ends: ProxyHeader.Received.Pair?
        if let client, let local {
            ends = .init(client: try Endpoint(parsing: client), local: try Endpoint(parsing: local))
        }
        return .whole(ProxyHeader.Received(version: version, length: length, ends: ends, fields: fields))
    }

    // MARK: Version 1

    static let lines: [(line: String, client: String?, local: String?)] = [
        ("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443", "192.168.0.1:56324", "192.168.0.11:443"),
        ("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535", "0.0.0.0:0", "255.255.255.255:65535"),
        ("PROXY TCP6 2001:db8::1 2001:DB8::2 4000 80", "[2001:db8::1]:4000", "[2001:db8::2]:80"),
        ("PROXY TCP6 :: ::1 1 2", "[::]:1", "[::1]:2"),
        ("PROXY TCP6 1:: 1:2:3:4:5:6:7:: 1 2", "[1::]:1", "[1:2:3:4:5:6:7:0]:2"),
        ("PROXY TCP6 ::2:3:4:5:6:7:8 1::8 1 2", "[0:2:3:4:5:6:7:8]:1", "[1::8]:2"),
        ("PROXY TCP6 0001:0:0:2:00:0:0:3 fe80::a0b:c:d0:ef 1 2", "[1:0:0:2:0:0:0:3]:1", "[fe80::a0b:c:d0:ef]:2"),
        ("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c000:202 1 2", "192.0.2.1:1", "192.0.2.2:2"),
        ("PROXY TCP6 1:2:3:4:5:6:192.0.2.1 ::192.0.2.2 1 2", "[1:2:3:4:5:6:c000:201]:1", "[::c000:202]:2"),
        (
            "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535",
            "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"
        ),
        ("PROXY UNKNOWN", nil, nil),
        ("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535", nil, nil),
        ("PROXY UNKNOWN \r whatever \n\n \u{1}", nil, nil),
    ]

    /// Whatever lies behind it is not looked at, and whatever is missing is asked for.
    @Test(arguments: lines) func aLine(line: String, client: String?, local: String?) throws {
        let header = Array((line + "\r\n").utf8)
        let expected = try whole(.v1, header.count, client, local)
        #expect(read(header) == expected)
        #expect(read(header + Array("PROXY TCP4 9.9.9.9 8.8.8.8 7 6\r\n".utf8)) == expected)
        for count in 0..<header.count {
            #expect(read(Array(header[..<count])) == .incomplete(needed: count + 1), "\(count) bytes of \(line)")
        }
    }

    @Test(arguments: [
        "PROXY  TCP4 1.2.3.4 5.6.7.8 1 2", "PROXY\tTCP4 1.2.3.4 5.6.7.8 1 2", "proxy TCP4 1.2.3.4 5.6.7.8 1 2",
        " PROXY TCP4 1.2.3.4 5.6.7.8 1 2", "PROXYTCP4 1.2.3.4 5.6.7.8 1 2", "GET / HTTP/1.1",
    ]) func noSignature(_ line: String) {
        let flaw: ProxyFlaw = line.hasPrefix("PROXY ") ? .line : .signature
        #expect(read(line + "\r\n") == .malformed(flaw))
    }

    @Test(arguments: [
        "PROXY ", "PROXY TCP4", "PROXY TCP4 ", "PROXY TCP 1.2.3.4 5.6.7.8 1 2", "PROXY TCP5 1.2.3.4 5.6.7.8 1 2",
        "PROXY UDP4 1.2.3.4 5.6.7.8 1 2", "PROXY tcp4 1.2.3.4 5.6.7.8 1 2", "PROXY UNKNOWNS", "PROXY unknown",
        "PROXY TCP4 1.2.3.4", "PROXY TCP4 1.2.3.4 5.6.7.8", "PROXY TCP4 1.2.3.4 5.6.7.8 1",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 ",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 ", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3", "PROXY TCP4  1.2.3.4 5.6.7.8 1 2",
        "PROXY TCP4 1.2.3.4 5.6.7.8  1 2", "PROXY TCP4 1.2.3 5.6.7.8 1 2", "PROXY TCP4 1.2.3.4.5 5.6.7.8 1 2",
        "PROXY TCP4 1.2.3.256 5.6.7.8 1 2", "PROXY TCP4 01.2.3.4 5.6.7.8 1 2", "PROXY TCP4 1.2.3.00 5.6.7.8 1 2",
        "PROXY TCP4 1..3.4 5.6.7.8 1 2", "PROXY TCP4 0x1.2.3.4 5.6.7.8 1 2", "PROXY TCP4 -1.2.3.4 5.6.7.8 1 2",
        "PROXY TCP4 16909060 5.6.7.8 1 2", "PROXY TCP4 ::1 ::2 1 2", "PROXY TCP4 1.2.3.4 ::2 1 2",
        "PROXY TCP6 1.2.3.4 5.6.7.8 1 2", "PROXY TCP6 ::1 5.6.7.8 1 2", "PROXY TCP4 1.2.3.4 5.6.7.8 65536 2",
        "PROXY TCP4 1.2.3.4 5.6.7.8 01 2", "PROXY TCP4 1.2.3.4 5.6.7.8 00 2",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 99999999999",
        "PROXY TCP4 1.2.3.4 5.6.7.8 -1 2", "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2", "PROXY TCP4 1.2.3.4 5.6.7.8 1 a",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\0", "PROXY TCP4 1.2.3.4 5.6.7.8 1\n2",
        "PROXY TCP6 1:2:3:4:5:6:7 ::2 1 2", "PROXY TCP6 1:2:3:4:5:6:7:8:9 ::2 1 2",
        "PROXY TCP6 1:2:3:4:5:6:7:8: ::2 1 2",
        "PROXY TCP6 1:2:3:4:5:6:7:8:: ::2 1 2", "PROXY TCP6 ::1:2:3:4:5:6:7:8 ::2 1 2", "PROXY TCP6 1::2::3 ::2 1 2",
        "PROXY TCP6 :1::2 ::2 1 2", "PROXY TCP6 1: ::2 1 2", "PROXY TCP6 : ::2 1 2", "PROXY TCP6 ::: ::2 1 2",
        "PROXY TCP6 1:::2 ::2 1 2", "PROXY TCP6 12345:: ::2 1 2", "PROXY TCP6 g:: ::2 1 2", "PROXY TCP6 ::1% ::2 1 2",
        "PROXY TCP6 fe80::1%eth0 ::2 1 2", "PROXY TCP6 [::1] ::2 1 2", "PROXY TCP6 ::1.2.3 ::2 1 2",
        "PROXY TCP6 ::1.2.3.4:5 ::2 1 2", "PROXY TCP6 1.2.3.4:: ::2 1 2", "PROXY TCP6 1:2:3:4:5:6:7:1.2.3.4 ::2 1 2",
        "PROXY TCP6 1:2:3:4:5:1.2.3.4 ::2 1 2", "PROXY TCP6 1:2:3:4:5:6:7:8:9:a:b ::2 1 2",
    ]) func aMalformedLine(_ line: String) {
        #expect(read(line + "\r\n") == .malformed(.line), "\(line)")
    }

    /// The line ends within 107 bytes, or it is none.
    @Test func theLongestLine() throws {
        let longest = "PROXY UNKNOWN " + String(repeating: "x", count: 91)
        #expect(read(longest + "\r\n") == (try whole(.v1, 107, nil, nil)))
        #expect(read(longest) == .incomplete(needed: 106))
        #expect(read(longest + "\r") == .incomplete(needed: 107))
        #expect(read(longest + "x\r\n") == .malformed(.tooLong))
        #expect(read(longest + "xx") == .malformed(.tooLong))
        #expect(read("PROXY " + String(repeating: "x", count: 5000)) == .malformed(.tooLong))
        #expect(read(longest + "\n\r") == .malformed(.tooLong))
    }

    // MARK: Version 2

    private static let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10]

    /// - Parameter length: what it says; nil: the truth.
    private func binary(_ command: UInt8, _ family: UInt8, _ rest: [UInt8], length: Int? = nil) -> [UInt8] {
        let length = length ?? rest.count
        return Self.signature + [command, family, UInt8(length >> 8), UInt8(length & 255)] + rest
    }

    private static let four: [UInt8] = [192, 0, 2, 1, 198, 51, 100, 2, 0x10, 0x01, 0x00, 0x50]
    private static let six: [UInt8] =
        [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
        + [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2] + [0xff, 0xff, 0, 0]

    @Test func addressesOfBothFamilies() throws {
        let four = binary(0x21, 0x11, Self.four)
        let six = binary(0x21, 0x21, Self.six)
        for (header, client, local) in [
            (four, "192.0.2.1:4097", "198.51.100.2:80"), (six, "[2001:db8::1]:65535", "[2001:db8::2]:0"),
        ] {
            let length = header.count
            let expected = try whole(.v2, length, client, local, fields: length..<length)
            #expect(read(header) == expected)
            #expect(read(header + [1, 2, 3]) == expected)
            for count in 0..<length {
                #expect(read(Array(header[..<count])) == .incomplete(needed: count == 0 ? 1 : count < 16 ? 16 : length))
            }
        }
        let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1]
        #expect(
            read(binary(0x21, 0x21, mapped + mapped + [0, 1, 0, 2]))
                == (try whole(.v2, 52, "192.0.2.1:1", "192.0.2.1:2", fields: 52..<52)))
    }

    /// LOCAL, and whatever else says nothing about a TCP client, leaves the ends of the connection in force.
    @Test(
        arguments: [
            (0x20, 0x00, 0), (0x20, 0x11, 12), (0x20, 0x11, 3), (0x20, 0xff, 20), (0x20, 0x31, 0), (0x21, 0x00, 0),
            (0x21, 0x00, 7), (0x21, 0x01, 3), (0x21, 0x12, 12), (0x21, 0x22, 36), (0x21, 0x10, 12), (0x21, 0x31, 216),
            (0x21, 0x32, 216), (0x20, 0x00, 2032),
        ] as [(UInt8, UInt8, Int)]) func nobodyIsNamed(_ command: UInt8, _ family: UInt8, _ count: Int) throws
    {
        let header = binary(command, family, [UInt8](repeating: 0xaa, count: count))
        #expect(read(header) == (try whole(.v2, 16 + count, nil, nil)))
        if count > 0 { #expect(read(Array(header.dropLast())) == .incomplete(needed: 16 + count)) }
    }

    @Test func whatIsNotThere() {
        for version: UInt8 in [0x01, 0x11, 0x31, 0xf1] {
            #expect(read(binary(version, 0x11, Self.four)) == .malformed(.version))
        }
        for command: UInt8 in [0x22, 0x2f] { #expect(read(binary(command, 0x11, Self.four)) == .malformed(.command)) }
        for family: UInt8 in [0x41, 0xf1, 0x13, 0x1f, 0x33] {
            #expect(read(binary(0x21, family, [UInt8](repeating: 0, count: 216))) == .malformed(.family))
        }
        for index in 0..<12 {
            var header = binary(0x21, 0x11, Self.four)
            header[index] ^= 1
            #expect(read(header) == .malformed(.signature))
            #expect(read(Array(header[...index])) == .malformed(.signature))
        }
    }

    @Test func lengths() throws {
        #expect(read(binary(0x21, 0x11, Array(Self.four.dropLast()))) == .malformed(.tooShort))
        #expect(read(binary(0x21, 0x21, Self.four)) == .malformed(.tooShort))
        #expect(read(binary(0x21, 0x31, [UInt8](repeating: 0, count: 215))) == .malformed(.tooShort))
        #expect(read(binary(0x21, 0x11, Self.four, length: 2033)) == .malformed(.tooLong))
        #expect(read(binary(0x21, 0x11, [], length: 65535)) == .malformed(.tooLong))
        #expect(read(binary(0x20, 0x00, [], length: 65535)) == .malformed(.tooLong))
        #expect(read(binary(0x21, 0x11, Self.four, length: 2032)) == .incomplete(needed: 2048))
        let filling = Self.four + [0x04, 0x07, 0xe1] + [UInt8](repeating: 7, count: 2017)
        #expect(
            read(binary(0x21, 0x11, filling))
                == (try whole(.v2, 2048, "192.0.2.1:4097", "198.51.100.2:80", fields: 28..<2048)))
    }

    @Test func fieldsThatDoNotFit() throws {
        for fields: [UInt8] in [
            [1], [1, 0], [1, 0, 1], [1, 0, 2, 5], [4, 0, 0, 4], [4, 0, 0, 4, 0], [0xe0, 255, 255, 1, 2],
            [3, 0, 3, 1, 2, 3],
            [3, 0, 0], [3, 0, 5, 0, 0, 0, 0, 0],
        ] {
            #expect(read(binary(0x21, 0x11, Self.four + fields)) == .malformed(.fields), "\(fields)")
        }
        for fields: [UInt8] in [[4, 0, 0], [1, 0, 2, 5, 6], [0xea, 0, 1, 0, 0xea, 0, 1, 0], [0, 0, 0, 255, 0, 0]] {
            let header = binary(0x21, 0x11, Self.four + fields)
            #expect(
                read(header)
                    == (try whole(.v2, header.count, "192.0.2.1:4097", "198.51.100.2:80", fields: 28..<header.count)))
        }
    }

    // MARK: Checksums

    /// RFC 3720, appendix B.4, and the check value that everybody publishes.
    @Test func castagnoli() {
        func sum(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { CRC32C.of($0, zeroing: 0..<0) } }
        #expect(sum(Array("123456789".utf8)) == 0xe306_9283)
        #expect(sum([UInt8](repeating: 0, count: 32)) == 0x8a91_36aa)
        #expect(sum([UInt8](repeating: 0xff, count: 32)) == 0x62a8_ab43)
        #expect(sum(Array(0..<32)) == 0x46dd_794e)
        #expect(sum([]) == 0)
    }

    private func sealed(_ command: UInt8, _ family: UInt8, _ before: [UInt8], _ after: [UInt8] = []) -> [UInt8] {
        var header = binary(command, family, before + [3, 0, 4, 0, 0, 0, 0] + after)
        let place = 16 + before.count + 3
        let sum = header.withUnsafeBytes { CRC32C.of($0, zeroing: 0..<0) }
        for index in 0..<4 { header[place + index] = UInt8(truncatingIfNeeded: sum >> UInt32(24 - 8 * index)) }
        return header
    }

    @Test func aChecksumIsChecked() throws {
        let header = sealed(0x21, 0x11, Self.four + [1, 0, 2, 0x68, 0x32], [0xe0, 0, 1, 9])
        #expect(
            read(header)
                == (try whole(.v2, header.count, "192.0.2.1:4097", "198.51.100.2:80", fields: 28..<header.count)))
        // Whatever bit is wrong, no such header is taken for a right one.
        for bit in 0..<(header.count * 8) {
            var wrong = header
            wrong[bit / 8] ^= 1 << UInt8(bit % 8)
            if case .whole(let received) = read(wrong) {
                // Only what says that there is a checksum, and where it is, can make it go away; and LOCAL names nobody.
                #expect(received.ends == nil || bit / 8 == 15 || (29...35).contains(bit / 8), "bit \(bit)")
            }
        }
        let twice = sealed(0x21, 0x11, Self.four, [3, 0, 4, 0, 0, 0, 0])
        #expect(read(twice) == .malformed(.fields))
        for (command, family) in [(0x20, 0x00), (0x21, 0x00)] as [(UInt8, UInt8)] {
            var header = sealed(command, family, [])
            #expect(read(header) == (try whole(.v2, header.count, nil, nil)))
            header[header.count - 1] ^= 1
            #expect(read(header) == .malformed(.checksum))
        }
    }

    // MARK: Those who should not send one

    @Test func likeness() {
        func look(_ bytes: [UInt8]) -> ProxyHeader.Likeness { bytes.withUnsafeBytes { ProxyHeader.likeness($0) } }
        let text = Array("PROXY ".utf8)
        #expect(look([]) == .possible)
        for (signature, other) in [(text, UInt8(0x20)), (Self.signature, 0x20)] {
            for count in 1..<signature.count {
                #expect(look(Array(signature[..<count])) == .possible)
                #expect(look(Array(signature[..<count]) + [signature[count] ^ other]) == .none)
            }
            #expect(look(signature) == .certain)
            #expect(look(signature + [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]) == .certain)
        }
        #expect(look(Array("GET / HTTP/1.1\r\n".utf8)) == .none)
        #expect(look(Array("PROXYS".utf8)) == .none)
    }

    // MARK: What we write ourselves

    private func write(
        _ version: ProxyHeader.Version, _ client: String, _ local: String, _ additions: ProxyHeader.Additions
    ) throws -> [UInt8] {
        let (client, local) = (try Endpoint(parsing: client), try Endpoint(parsing: local))
        return [UInt8](unsafeUninitializedCapacity: ProxyHeader.longestWithAdditions) { buffer, count in
            count = ProxyHeader.write(
                version, client: client, local: local, additions: additions,
                into: UnsafeMutableRawBufferPointer(buffer))
        }
    }

    @Test(arguments: [("192.0.2.1:4097", "198.51.100.2:80"), ("[2001:db8::1]:65535", "[::1]:7")])
    func additions(_ client: String, _ local: String) throws {
        let start = client.hasPrefix("[") ? 52 : 28
        var additions = ProxyHeader.Additions()
        #expect(
            read(try write(.v2, client, local, additions))
                == (try whole(.v2, start, client, local, fields: start..<start)))
        additions.uniqueID = (0xabc, 0x12)
        let named = try write(.v2, client, local, additions)
        #expect(Array(named[start...]) == [5, 0, 6] + Array("abc-12".utf8))
        #expect(read(named) == (try whole(.v2, start + 9, client, local, fields: start..<(start + 9))))
        additions.hasChecksum = true
        let sealed = try write(.v2, client, local, additions)
        #expect(Array(sealed[(start + 9)..<(start + 12)]) == [3, 0, 4] && sealed.count == start + 16)
        #expect(read(sealed) == (try whole(.v2, start + 16, client, local, fields: start..<(start + 16))))
        // Version 1 has no place for them.
        #expect(read(try write(.v1, client, local, additions)).isWhole(.v1))
    }

    /// What was received goes on as it is, but for a checksum, and for a unique id that has been replaced.
    @Test func fieldsThatArePassedOn() throws {
        let received: [UInt8] = [
            1, 0, 2, 0x68, 0x32, 3, 0, 4, 9, 9, 9, 9, 5, 0, 1, 0x78, 4, 0, 0, 0xe7, 0, 3, 1, 2, 3,
        ]
        let (client, local) = ("192.0.2.1:1", "192.0.2.2:2")
        try received.withUnsafeBytes { bytes in
            var additions = ProxyHeader.Additions()
            additions.received = bytes
            #expect(
                Array(try write(.v2, client, local, additions)[28...])
                    == [1, 0, 2, 0x68, 0x32, 5, 0, 1, 0x78, 4, 0, 0, 0xe7, 0, 3, 1, 2, 3])
            additions.uniqueID = (1, 2)
            additions.hasChecksum = true
            let all = try write(.v2, client, local, additions)
            #expect(
                Array(all[28..<(all.count - 7)])
                    == [1, 0, 2, 0x68, 0x32, 4, 0, 0, 0xe7, 0, 3, 1, 2, 3, 5, 0, 3, 0x31, 0x2d, 0x32])
            #expect(read(all) == (try whole(.v2, all.count, client, local, fields: 28..<all.count)))
        }
        // The longest that may come, and everything of ours.
        let long = [0xe0, 0x07, 0xd1] + [UInt8](repeating: 1, count: 2001)
        try long.withUnsafeBytes { bytes in
            var additions = ProxyHeader.Additions()
            additions.received = bytes
            additions.uniqueID = (.max, .max)
            additions.hasChecksum = true
            let all = try write(.v2, "[2001:db8::1]:1", "[2001:db8::2]:2", additions)
            #expect(all.count == 52 + 2004 + 36 + 7 && all.count <= ProxyHeader.longestWithAdditions)
        }
    }
}

extension ProxyHeader.Reading {
    fileprivate func isWhole(_ version: ProxyHeader.Version) -> Bool {
        if case .whole(let received) = self { received.version == version } else { false }
    }
}
