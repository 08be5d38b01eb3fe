import Addressing
import Testing

#if canImport(Glibc)
    import Glibc
#endif

@Suite struct IPAddressTests {
    @Test(arguments: [
        "", " ", "1", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "1..2.3", "1.2.3.256", "1.2.3.04", "01.2.3.4",
        "0x1.2.3.4",
        "1.2.3.4 ", " 1.2.3.4", "+1.2.3.4", "1.2.3.-4", "1.2.3.1000", "1,2,3,4", "١.2.3.4", "1.2.3.4\0", "16909060",
        ":", ":::", "::1::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8",
        "1:2:3:4::5:6:7:8", "1:2:3:4:5:6:7:", ":1:2:3:4:5:6:7", "12345::", "g::", "::fffff", "[::1]", "::1%lo", "::1 ",
        "::1/64", "::1.2.3", "::1.2.3.4.5", "::1.2.3.256", "::01.2.3.4", "1.2.3.4::", "::1.2.3.4:5",
        "1:2:3:4:5:6:7:1.2.3.4",
        "::1:2:3:4:5:6:7:1.2.3.4", "1:2:3:4:5:1.2.3.4", "::ffff:1.2.3.4:", "localhost", "::-1", "1:-2::",
        "0000:0000:0000:0000:0000:0000:255.255.255.2555", "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
    ])
    func rejects(_ text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test(
        arguments: [
            ("0.0.0.0", 0), ("255.255.255.255", .max), ("192.0.2.1", 0xc000_0201), ("10.0.0.9", 0x0a00_0009),
        ] as [(String, UInt32)])
    func readsIPv4(_ text: String, _ value: UInt32) {
        #expect(IPAddress(text) == IPAddress(v4: value))
        #expect(IPAddress(v4: value).description == text)
    }

    /// Text that is accepted, its value, and its canonical form by RFC 5952.
    @Test(
        arguments: [
            ("::", 0, 0, "::"), ("::1", 0, 1, "::1"), ("0:0:0:0:0:0:0:1", 0, 1, "::1"), ("1::", 1 << 48, 0, "1::"),
            ("2001:DB8::A", 0x2001_0db8_0000_0000, 0xa, "2001:db8::a"),
            ("2001:0db8:0000:0000:0001:0000:0000:0001", 0x2001_0db8_0000_0000, 0x1_0000_0000_0001, "2001:db8::1:0:0:1"),
            ("2001:db8::1:1:1:1:1", 0x2001_0db8_0000_0001, 0x1_0001_0001_0001, "2001:db8:0:1:1:1:1:1"),
            ("1:0:0:2:0:0:0:3", 0x1_0000_0000_0002, 3, "1:0:0:2::3"),
            ("1:2:3:4:5:6:7::", 0x1_0002_0003_0004, 0x5_0006_0007_0000, "1:2:3:4:5:6:7:0"),
            ("::2:3:4:5:6:7:8", 0x2_0003_0004, 0x5_0006_0007_0008, "0:2:3:4:5:6:7:8"),
            ("::ffff:192.0.2.1", 0, 0xffff_c000_0201, "::ffff:192.0.2.1"),
            ("::FFFF:c000:0201", 0, 0xffff_c000_0201, "::ffff:192.0.2.1"),
            ("::192.0.2.1", 0, 0xc000_0201, "::c000:201"), ("::0.0.0.0", 0, 0, "::"),
            ("64:ff9b::192.0.2.33", 0x0064_ff9b_0000_0000, 0xc000_0221, "64:ff9b::c000:221"),
            ("1:2:3:4:5:6:7.8.9.10", 0x1_0002_0003_0004, 0x5_0006_0708_090a, "1:2:3:4:5:6:708:90a"),
            ("::3:4:5:6:7.8.9.10", 0x3_0004, 0x5_0006_0708_090a, "::3:4:5:6:708:90a"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", .max, .max, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ] as [(String, UInt64, UInt64, String)])
    func readsIPv6(_ text: String, _ high: UInt64, _ low: UInt64, _ canonical: String) {
        #expect(IPAddress(text) == IPAddress(v6High: high, low: low))
        #expect(IPAddress(v6High: high, low: low).description == canonical)
        #expect(IPAddress(canonical) == IPAddress(v6High: high, low: low))
    }

    /// Texts that are nearly addresses: the C library must think the same of every one.
    @Test func agreesWithTheCLibrary() {
        var random = SystemRandomNumberGenerator()
        let seeds = [
            "1.2.3.4", "255.0.10.100", "::1", "2001:db8::7:0:1", "::ffff:1.2.3.4", "1:2:3:4:5:6:7:8",
            "fe80::a:b:1.20.3.0",
        ]
        let alphabet = Array("0123456789abfFg:.:.: ".utf8)
        var accepted = 0
        for _ in 0..<20_000 {
            var bytes = Array((seeds.randomElement(using: &random) ?? "").utf8)
            for _ in 0...Int.random(in: 0...2, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                let byte = alphabet.randomElement(using: &random) ?? 0
                switch Int.random(in: 0...2, using: &random) {
                case 0: bytes[place] = byte
                case 1: bytes.insert(byte, at: place)
                default: if bytes.count > 1 { bytes.remove(at: place) }
                }
            }
            let text = String(decoding: bytes, as: UTF8.self)
            let ours = IPAddress(text)
            #expect(ours == IPAddressTests.readByCLibrary(text), "\(text)")
            if let ours {
                accepted += 1
                #expect(IPAddress(ours.description) == ours, "\(text)")
            }
        }
        #expect((1_000..<19_000).contains(accepted))
    }

    static func readByCLibrary(_ text: String) -> IPAddress? {
        var v4 = in_addr()
        if inet_pton(AF_INET, text, &v4) == 1 { return IPAddress(v4: UInt32(bigEndian: v4.s_addr)) }
        var v6 = in6_addr()
        guard inet_pton(AF_INET6, text, &v6) == 1 else { return nil }
        return withUnsafeBytes(of: &v6) { bytes in
            IPAddress(
                v6High: UInt64(bigEndian: bytes.load(as: UInt64.self)),
                low: UInt64(bigEndian: bytes.load(fromByteOffset: 8, as: UInt64.self)))
        }
    }

    @Test func ordersFamiliesThenNumbers() throws {
        let sorted = ["0.0.0.1", "9.0.0.0", "10.0.0.0", "::", "::1", "::ffff:0.0.0.1", "1::", "1::1", "fe80::"]
        let addresses = try sorted.map { try #require(IPAddress($0)) }
        #expect(addresses.reversed().sorted() == addresses)
    }

    @Test func masksEitherFamily() throws {
        let v4 = try #require(IPAddress("255.255.255.255"))
        let v6 = try #require(IPAddress("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))
        for (bits, text) in [
            (-1, "0.0.0.0"), (0, "0.0.0.0"), (1, "128.0.0.0"), (31, "255.255.255.254"), (99, "255.255.255.255"),
        ] {
            #expect(v4.masked(to: bits).description == text)
        }
        for (bits, text) in [
            (0, "::"), (1, "8000::"), (63, "ffff:ffff:ffff:fffe::"), (64, "ffff:ffff:ffff:ffff::"),
            (65, "ffff:ffff:ffff:ffff:8000::"), (127, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"),
        ] {
            #expect(v6.masked(to: bits).description == text)
        }
        #expect(v6.masked(to: 128) == v6)
    }

    @Test func unmapsOnlyMappedAddresses() throws {
        #expect(IPAddress("::ffff:192.0.2.1")?.unmapped == IPAddress("192.0.2.1"))
        for text in ["192.0.2.1", "::192.0.2.1", "::fffe:192.0.2.1", "1::ffff:192.0.2.1", "::1:ffff:192.0.2.1"] {
            let address = try #require(IPAddress(text))
            #expect(address.unmapped == address)
        }
        #expect(IPAddress("::ffff:192.0.2.1") != IPAddress("192.0.2.1"))
    }

    @Test func knowsSpecialAddresses() {
        #expect(IPAddress("0.0.0.0")?.isUnspecified == true)
        #expect(IPAddress("::")?.isUnspecified == true)
        #expect(IPAddress("::1")?.isUnspecified == false)
        for text in ["127.0.0.1", "127.255.0.9", "::1"] { #expect(IPAddress(text)?.isLoopback == true) }
        for text in ["128.0.0.1", "0.0.0.1", "::", "::7f00:1", "1::1"] { #expect(IPAddress(text)?.isLoopback == false) }
    }
}
