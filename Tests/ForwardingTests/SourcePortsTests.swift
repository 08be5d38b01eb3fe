import Addressing
import CLayout
import Testing

@testable import Forwarding
@testable import Linux

/// What is noted about addresses that have no port left, and for how long.
@Suite struct SourcePortsTests {
    private let region: SharedRegion

    init() throws { region = try SharedRegion(workers: 1, records: 4, limit: 4) }

    private func ports(at milliseconds: UInt64, slot: UInt16 = 3, _ address: String = "192.0.2.1") -> SourcePorts {
        let member = ForwardingTable.Member(slot: slot, address: SocketAddress(IPAddress(address)!, port: 80))
        return SourcePorts(region, member, now: milliseconds * 1_000_000)
    }

    @Test func aNoteHoldsForItsTimeAndForWhatItIsAbout() throws {
        #expect(ports(at: 5).end(of: 2, 77) == nil && !ports(at: 5).areAllSpent(9))
        ports(at: 5).note(2, 77, until: 1005)
        ports(at: 5).noteAll(9, until: 905)
        #expect(ports(at: 1004).end(of: 2, 77) == 1005 && ports(at: 904).areAllSpent(9))
        // Another address has that place since, and another list: nothing is known of these.
        #expect(ports(at: 6).end(of: 2, 78) == nil && !ports(at: 6).areAllSpent(8))
        #expect(ports(at: 6).end(of: 3, 77) == nil)
        #expect(ports(at: 6, slot: 4).end(of: 2, 77) == nil)
        // Nor of another address of the same backend.
        #expect(ports(at: 6, "192.0.2.2").end(of: 2, 77) == nil && !ports(at: 6, "192.0.2.2").areAllSpent(9))
        #expect(ports(at: 1005).end(of: 2, 77) == nil && !ports(at: 905).areAllSpent(9))
    }

    /// A second at least, and so long that searches take no more than a tenth of the time.
    @Test func theRestIsMeasuredByTheSearch() {
        #expect(SourcePorts.rest(after: 0, among: 1) == 1000)
        #expect(SourcePorts.rest(after: 5_000_000, among: 16) == 1000)
        #expect(SourcePorts.rest(after: 5_000_000, among: 64) == 3200)
        #expect(SourcePorts.rest(after: 10_000_000_000, among: 64) == 30_000)
        #expect(SourcePorts.rest(after: 1_000_000, among: 0) == 1000)
    }

    @Test func anotherListHasAnotherTag() throws {
        func source(_ addresses: String...) throws -> ConnectionSource {
            let all = try addresses.map { SocketAddress(try #require(IPAddress($0)), port: 0) }
            return ConnectionSource(
                v4: all.filter { $0.family == 2 }, v6: all.filter { $0.family != 2 }, isTransparent: false, mark: 0,
                device: [])
        }
        let lists = try [
            source("127.0.0.1"), source("127.0.0.2"), source("127.0.0.1", "127.0.0.2"), source("::1"), .automatic,
        ]
        #expect(Set(lists.map(\.tag)).count == lists.count)
        #expect(try source("127.0.0.1", "::1").addresses(SocketAddress.v6).count == 1)
        #expect(try source("127.0.0.1").tag == source("127.0.0.1").tag)
    }

    @Test(arguments: [
        ("", 0), ("\n", 0), ("32768\n", 1), ("1-100\n", 0), ("60999-61010,40000-40009\n", 11), ("32000-33000", 233),
        ("1-65535", 28232), ("x,5-,-", 0),
    ])
    func reservedPortsAreCountedWithinTheRange(_ list: String, _ count: Int) {
        #expect(ProcessUsage.portsWithin(32768...60999, of: list) == count)
    }

    /// The kernel tells of a connection by both its ends.
    @Test func theKernelTellsOfSockets() throws {
        let scene = try Scene()
        let server = try #require(scene.backendAddress.endpoint)
        let local = try #require(StreamSocket.localEndpoint(scene.toServer))
        let found = Found()
        #expect(TCPSockets.visit(.v4) { if $1 == server { found.locals.append($0) } } == nil)
        #expect(found.locals == [local.address])
    }

    private final class Found {
        var locals: [IPAddress] = []
    }
}
