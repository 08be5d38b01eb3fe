import Addressing
import Testing

@testable import Forwarding

@Suite struct ClientTallyTests {
    private let tally = ClientTally()
    private let second: UInt64 = 1_000_000_000

    private func limits(_ connections: UInt32, rate: UInt32 = 0) -> ClientTally.Limits {
        ClientTally.Limits(connections: connections, rate: rate)
    }

    @Test func anIPv4AddressIsAClientAndAnIPv6NetworkToo() {
        let two = limits(2)
        for service in UInt16(0)..<2 {
            for address in [IPAddress(v4: 0x0a00_0001), IPAddress(v4: 0x0a00_0002)] {
                #expect(tally.enter(address, service: service, limits: two, now: 0) == nil)
                #expect(tally.enter(address, service: service, limits: two, now: 0) == nil)
                #expect(tally.enter(address, service: service, limits: two, now: 0) == .tooMany)
            }
            // The lower half of the address is the host's to choose.
            #expect(tally.enter(IPAddress(v6High: 0x2001, low: 1), service: service, limits: two, now: 0) == nil)
            #expect(tally.enter(IPAddress(v6High: 0x2001, low: 2), service: service, limits: two, now: 0) == nil)
            #expect(tally.enter(IPAddress(v6High: 0x2001, low: 3), service: service, limits: two, now: 0) == .tooMany)
            #expect(tally.enter(IPAddress(v6High: 0x2002, low: 3), service: service, limits: two, now: 0) == nil)
        }
        tally.leave(IPAddress(v4: 0x0a00_0001), service: 0)
        #expect(tally.enter(IPAddress(v4: 0x0a00_0001), service: 0, limits: two, now: 0) == nil)
        #expect(tally.enter(IPAddress(v4: 0x0a00_0001), service: 1, limits: two, now: 0) == .tooMany)
    }

    /// Who has a /48 has 65,536 networks: together they are sixteen clients, and a refusal takes nothing away.
    @Test func aSiteIsSixteenClients() {
        let site: UInt64 = 0x2001_0db8_0007_0000
        for network in UInt64(0)..<32 {
            #expect(
                tally.enter(IPAddress(v6High: site | network, low: 1), service: 0, limits: limits(2), now: 0) == nil)
        }
        for network in UInt64(100)..<200 {
            let refusal = tally.enter(IPAddress(v6High: site | network, low: 1), service: 0, limits: limits(2), now: 0)
            #expect(refusal == .tooMany)
        }
        let other = IPAddress(v6High: site + 0x10000, low: 1)
        #expect(tally.enter(other, service: 0, limits: limits(2), now: 0) == nil)
        tally.leave(IPAddress(v6High: site, low: 1), service: 0)
        let late = IPAddress(v6High: site | 150, low: 1)
        #expect(tally.enter(late, service: 0, limits: limits(2), now: 0) == nil)
        #expect(tally.enter(late, service: 0, limits: limits(2), now: 0) == .tooMany)
    }

    @Test func nothingIsRememberedOfWhoHasLeft() {
        for number in UInt32(0)..<10_000 {
            #expect(tally.enter(IPAddress(v4: number), service: 0, limits: limits(1), now: 0) == nil)
        }
        #expect(tally.count == 10_000)
        for number in UInt32(0)..<10_000 { tally.leave(IPAddress(v4: number), service: 0) }
        #expect(tally.count == 0)
        // One who was never counted: a limit that is new knows nothing of those before.
        tally.leave(IPAddress(v4: 1), service: 0)
        #expect(tally.enter(IPAddress(v4: 1), service: 0, limits: limits(1), now: 0) == nil)
        #expect(tally.enter(IPAddress(v4: 1), service: 0, limits: limits(1), now: 0) == .tooMany)
    }

    /// A second's worth at once, then one for each part of a second; what is refused costs nothing.
    @Test func theRateHoldsOverAnyTime() {
        let address = IPAddress(v4: 7)
        let rate = limits(0, rate: 10)
        var now: UInt64 = 5 * second
        var taken = 0
        for _ in 0..<50 where tally.enter(address, service: 0, limits: rate, now: now) == nil { taken += 1 }
        #expect(taken == 10)
        for _ in 0..<100 {
            now += second / 100
            if tally.enter(address, service: 0, limits: rate, now: now) == nil { taken += 1 }
        }
        #expect(taken == 20)
        now += 100 * second
        for _ in 0..<50 where tally.enter(address, service: 0, limits: rate, now: now) == nil { taken += 1 }
        #expect(taken == 30)
        #expect(tally.enter(IPAddress(v4: 8), service: 0, limits: limits(0, rate: 1), now: now) == nil)
        #expect(tally.enter(IPAddress(v4: 8), service: 0, limits: limits(0, rate: 1), now: now) == .tooFast)
    }

    @Test func aFloodOfAddressesIsForgotten() {
        for number in UInt32(0)..<200_000 {
            let now = second + UInt64(number) * 100_000
            #expect(tally.enter(IPAddress(v4: number), service: 0, limits: limits(0, rate: 5), now: now) == nil)
        }
        // 2,000 of them within the time that a connection counts; twice that is what a sweep leaves to grow.
        #expect(tally.count < 64 * 64 + 10_000)
    }
}
