import Addressing
import Testing

@Suite struct PrefixTests {
    @Test(arguments: [
        "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8",
        "10.0.0/8",
        "10.0.0.0 /8", "10.0.0.0/ 8", "::/129", "::/1000", "::1/255.0.0.0", "10.0.0.0/255.0.0.0", "example.org/8",
        "10.0.0.0/99999999999999999999",
    ])
    func rejects(_ text: String) {
        #expect(Prefix(text) == nil)
    }

    @Test func lengthMustFitTheFamily() throws {
        let v4 = IPAddress(v4: 0)
        #expect(Prefix(v4, length: 33) == nil)
        #expect(Prefix(v4, length: -1) == nil)
        #expect(Prefix(v4, length: 32) == Prefix(v4))
        #expect(Prefix(IPAddress(v6High: 0, low: 0), length: 129) == nil)
    }

    @Test(arguments: [
        ("10.0.0.0/8", "10.0.0.0/8"), ("192.0.2.1", "192.0.2.1/32"), ("::1", "::1/128"), ("::/0", "::/0"),
        ("2001:DB8:0::/48", "2001:db8::/48"),
    ])
    func readsAndWrites(_ text: String, _ canonical: String) throws {
        let prefix = try #require(Prefix(text))
        #expect(prefix.description == canonical)
        #expect(!prefix.hasHostBits)
        #expect(Prefix(canonical) == prefix)
    }

    @Test(arguments: [
        ("10.1.2.3/8", "10.0.0.0/8"), ("10.0.0.1/31", "10.0.0.0/31"), ("1.2.3.4/0", "0.0.0.0/0"),
        ("2001:db8::1/64", "2001:db8::/64"),
    ])
    func namesTheNetworkThatWasMeant(_ text: String, _ network: String) throws {
        let prefix = try #require(Prefix(text))
        #expect(prefix.hasHostBits)
        #expect(prefix.description == text)
        #expect(prefix.network == Prefix(network))
        #expect(!prefix.network.hasHostBits)
    }

    @Test(arguments: [
        ("10.0.0.0/8", "10.255.255.255", true), ("10.0.0.0/8", "11.0.0.0", false),
        ("10.0.0.0/8", "9.255.255.255", false),
        ("10.1.2.3/8", "10.9.9.9", true), ("192.0.2.1", "192.0.2.1", true), ("192.0.2.1", "192.0.2.0", false),
        ("0.0.0.0/0", "255.1.2.3", true), ("0.0.0.0/0", "::", false), ("0.0.0.0/0", "2001:db8::1", false),
        ("::/0", "2001:db8::1", true), ("::/0", "10.0.0.1", false), ("2001:db8::/33", "2001:db8:7fff::1", true),
        ("2001:db8::/33", "2001:db8:8000::", false), ("2001:db8::/65", "2001:db8::7fff:0:0:1", true),
        ("2001:db8::/65", "2001:db8::8000:0:0:1", false),
        // Mapped addresses are in the IPv4 range of the address in them, and in IPv6 ranges by their own bits.
        ("10.0.0.0/8", "::ffff:10.1.2.3", true), ("10.0.0.0/8", "::ffff:11.1.2.3", false),
        ("::ffff:0:0/96", "::ffff:11.1.2.3", true), ("::ffff:0:0/96", "11.1.2.3", false),
    ])
    func contains(_ prefix: String, _ address: String, _ expected: Bool) throws {
        let prefix = try #require(Prefix(prefix))
        let address = try #require(IPAddress(address))
        #expect(prefix.contains(address) == expected)
    }
}
