import Addressing
import Testing

@Suite struct PrefixMapTests {
    /// What the map must say: the longest of all networks that contain the address, of equal ones the last.
    private func naive(_ networks: [Prefix], _ address: IPAddress) -> UInt32? {
        var best: (length: Int, number: UInt32)?
        for (number, network) in networks.enumerated()
        where network.address.family == address.family && network.contains(address) {
            if network.length >= best?.length ?? 0 { best = (network.length, UInt32(number)) }
        }
        return best?.number
    }

    private func map(_ networks: [Prefix]) -> PrefixMap {
        PrefixMap(networks.enumerated().map { (network: $0.element, number: UInt32($0.offset)) })
    }

    @Test func nothingIsFoundWhereThereIsNothing() throws {
        let empty = map([])
        for text in ["0.0.0.0", "255.255.255.255", "::", "ffff::", "10.1.2.3"] {
            #expect(empty.number(of: try #require(IPAddress(text))) == nil)
        }
    }

    @Test func theEndsOfTheAddressesAreLikeTheRest() throws {
        let networks = try ["0.0.0.0/0", "255.255.255.255/32", "0.0.0.0/32", "::/0", "ffff::/16", "::/128"].map {
            try #require(Prefix($0))
        }
        let map = map(networks)
        for (text, number) in [
            ("0.0.0.0", UInt32(2)), ("0.0.0.1", 0), ("255.255.255.254", 0), ("255.255.255.255", 1), ("::", 5),
            ("::1", 3),
            ("fffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 3), ("ffff::", 4),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 4),
        ] {
            #expect(map.number(of: try #require(IPAddress(text))) == number, "\(text)")
        }
    }

    /// Networks that lie in each other, beside each other and nowhere near, from little room, so that they meet often.
    @Test(arguments: 0..<40) func itAgreesWithALookAtEachNetwork(_ seed: UInt64) throws {
        var generator = Generator(state: seed)
        func word() -> UInt64 { generator.next() }
        func address() -> IPAddress {
            word() % 3 == 0
                ? IPAddress(
                    v6High: 0x2001_0db8_0000_0000 | word() % 4, low: word() % 2 == 0 ? word() : (word() % 8) << 61)
                : IPAddress(v4: 0x0a00_0000 | UInt32(truncatingIfNeeded: word() % 2048))
        }
        let networks = (0..<Int(word() % 300)).map { _ in
            let address = address()
            let bits = address.family.bitCount
            let length = word() % 8 == 0 ? Int(word() % UInt64(bits + 1)) : bits - Int(word() % 12)
            return Prefix(address, length: length)!
        }
        let map = map(networks)
        for _ in 0..<500 {
            let address = address()
            #expect(map.number(of: address) == naive(networks, address), "\(address)")
        }
        for network in networks {
            let first = network.network.address
            #expect(map.number(of: first) == naive(networks, first), "\(network)")
        }
    }

    @Test func theLongestDecidesAndADenialBeatsAnEqual() throws {
        func networks(_ texts: String...) -> [Prefix] { texts.map { Prefix($0)! } }
        func letsIn(_ rules: AccessRules?, _ text: String) -> Bool { rules?.letsIn(IPAddress(text)!) ?? true }
        #expect(AccessRules(allow: [], deny: []) == nil)
        let denying = AccessRules(allow: [], deny: networks("10.0.0.0/8", "2001:db8::/32"))
        #expect(!letsIn(denying, "10.1.2.3") && letsIn(denying, "11.1.2.3"))
        #expect(!letsIn(denying, "2001:db8::1") && letsIn(denying, "2001:db9::1"))
        // With any network that is allowed, of whatever family, nobody else is let in.
        let allowing = AccessRules(allow: networks("10.0.0.0/8"), deny: [])
        #expect(letsIn(allowing, "10.1.2.3") && !letsIn(allowing, "11.1.2.3") && !letsIn(allowing, "::1"))
        let both = AccessRules(
            allow: networks("10.0.0.0/8", "10.1.1.0/24", "192.0.2.0/24"), deny: networks("10.1.0.0/16", "192.0.2.0/24"))
        #expect(letsIn(both, "10.2.0.1") && !letsIn(both, "10.1.2.1") && letsIn(both, "10.1.1.1"))
        #expect(!letsIn(both, "192.0.2.1") && !letsIn(both, "172.16.0.1"))
        #expect(both?.rule(for: IPAddress("10.1.2.1")!) == .init(network: Prefix("10.1.0.0/16")!, isAllowed: false))
        #expect(both?.rule(for: IPAddress("10.1.1.1")!)?.isAllowed == true)
        #expect(both?.rule(for: IPAddress("172.16.0.1")!) == nil)
        #expect(both?.count == 5)
    }
}

/// SplitMix64.
private struct Generator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}
