import Addressing
import Stickiness
import Testing

@Suite struct SourceKeyTests {
    static func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

    static func key(
        _ text: String, port: UInt16 = 0, ipv4: Int = 32, ipv6: Int = 64, input: HashInput = .source
    ) throws -> UInt64 {
        SourceKeyer(key: .published, mask: SourceMask(ipv4: ipv4, ipv6: ipv6), input: input)
            .key(for: try address(text), port: port)
    }

    /// Keys that the reference computes under the published key.
    @Test func agreesWithTheReference() throws {
        #expect(try SourceKeyTests.key("192.0.2.1") == 0xc44c_be1d_70dd_dfbc)
        #expect(try SourceKeyTests.key("192.0.2.1", port: 49152, input: .sourcePort) == 0x0909_bd37_bb6e_a018)
        #expect(try SourceKeyTests.key("192.0.2.129", ipv4: 24) == 0xfbc5_eea7_c0d7_bf32)
        #expect(try SourceKeyTests.key("2001:db8:1:2:3:4:5:6") == 0x23e9_b307_0472_c0de)
        #expect(
            try SourceKeyTests.key("2001:db8:1:2:3:4:5:6", port: 443, ipv6: 128, input: .sourcePort)
                == 0xd535_bcd1_00d2_f0f6)
        #expect(try SourceKeyTests.key("2001:db8:1:2:3:4:5:6", ipv6: 1) == 0xe3d2_7c38_2f42_7f95)
        #expect(try SourceKeyTests.key("255.255.255.255", ipv4: 0) == 0xf7b2_4cbb_759c_4d9c)
        #expect(try SourceKeyTests.key("ffff::", ipv6: 0) == 0xe3d2_7c38_2f42_7f95)
    }

    /// A user of this machine: family 1 and the number, under no mask. As the reference's SipHash has it.
    @Test func usersAreClients() {
        for mask in [SourceMask(), SourceMask(ipv4: 0, ipv6: 0)] {
            let keyer = SourceKeyer(key: .published, mask: mask, input: .source)
            #expect(keyer.key(for: IPAddress(user: 0), port: 0) == 0xd277_bc8f_2f92_51a3)
            #expect(keyer.key(for: IPAddress(user: 1000), port: 7) == 0x544e_5861_2a52_01ab)
        }
    }

    @Test func portCountsOnlyWhereAskedFor() throws {
        #expect(try SourceKeyTests.key("192.0.2.1", port: 1) == SourceKeyTests.key("192.0.2.1", port: 2))
        #expect(try SourceKeyTests.key("2001:db8::1", port: 1) == SourceKeyTests.key("2001:db8::1", port: 2))
        let asked = try [1, 2, 256, 258].map {
            try SourceKeyTests.key("192.0.2.1", port: $0, input: .sourcePort)
        }
        #expect(Set(asked).count == 4)
    }

    @Test func masksDecideWhoIsOneClient() throws {
        #expect(try SourceKeyTests.key("192.0.2.1") != SourceKeyTests.key("192.0.2.2"))
        #expect(try SourceKeyTests.key("192.0.2.1", ipv4: 24) == SourceKeyTests.key("192.0.2.255", ipv4: 24))
        #expect(try SourceKeyTests.key("192.0.2.1", ipv4: 24) != SourceKeyTests.key("192.0.3.1", ipv4: 24))
        #expect(try SourceKeyTests.key("2001:db8::1") == SourceKeyTests.key("2001:db8::ffff:ffff:ffff:ffff"))
        #expect(try SourceKeyTests.key("2001:db8::1") != SourceKeyTests.key("2001:db8:0:1::1"))
        #expect(try SourceKeyTests.key("2001:db8::1", ipv6: 128) != SourceKeyTests.key("2001:db8::2", ipv6: 128))
        // The mask of one family does not touch the other.
        #expect(try SourceKeyTests.key("192.0.2.1", ipv6: 1) == SourceKeyTests.key("192.0.2.1"))
        #expect(try SourceKeyTests.key("2001:db8::1", ipv4: 1) == SourceKeyTests.key("2001:db8::1"))
    }

    @Test func mappedAddressesAreIPv4() throws {
        #expect(try SourceKeyTests.key("::ffff:192.0.2.1") == SourceKeyTests.key("192.0.2.1"))
        #expect(
            try SourceKeyTests.key("::ffff:192.0.2.1", ipv4: 24, ipv6: 48) == SourceKeyTests.key("192.0.2.9", ipv4: 24))
        // The same low bits under another prefix are another client.
        #expect(try SourceKeyTests.key("::192.0.2.1", ipv6: 128) != SourceKeyTests.key("192.0.2.1"))
    }

    @Test func familiesAreKeptApart() throws {
        #expect(try SourceKeyTests.key("0.0.0.0", ipv4: 0) != SourceKeyTests.key("::", ipv6: 0))
    }
}
