import Foundation
import Testing

/// Names of a zone whose server says nothing, beside others.
@Suite(.ownThread, .fence, .enabled(if: NameServer.isThere, "dnsmasq is missing"))
struct DeadNameTests {
    private func backend(_ name: String, _ host: String, _ port: UInt16) -> [String] {
        ["[[service.backend]]", "name = \"\(name)\"", "address = \"\(host).example.net:\(port)\""]
    }

    /// They hold up nobody else: not at the start, not later.
    @Test func aHundredDeadNamesHoldUpNoOther() throws {
        let one = try BackendServer(.greet("127.0.20.1"), on: "127.0.20.1")
        let port = one.address.port
        let two = try BackendServer(.greet("127.0.20.2"), on: "127.0.20.2", port: port)
        let silent = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(silent) }
        try #require(SocketAddress("127.0.20.9", 0).withSockaddr { bind(silent, $0, $1) } == 0)
        let quiet = try #require(SocketAddress.filled { getsockname(silent, $0, $1) })
        let zone = ["server=/dead.example.net/127.0.20.9#\(quiet.port)"]
        let server = try NameServer()
        try server.serve(NameServer.host("w1", ["127.0.20.1"]) + zone)
        // More than the resolver could ask one after the other while this test waits.
        let service = Reloadable.Service(
            listen: ["127.0.0.1:0"],
            settings: ["health = \"off\""]
                + (0..<100).flatMap { backend("d\($0)", "d\($0).dead", port) } + backend("w1", "w1", port))
        let daemon = try Reloadable(
            [service], settings: ["resolvers = [\"\(server.address)\"]", "resolve-timeout = \"20s\""])
        let ctl = daemon.ctl
        try eventually("w1 is there") { try ctl.backend("w1").resolution?.addresses == ["127.0.20.1"] }
        #expect(try daemon.landing(clientHost(1)) == "127.0.20.1")
        try server.serve(NameServer.host("w1", ["127.0.20.2"]) + zone)
        try eventually("w1 is elsewhere") { try ctl.backend("w1").resolution?.addresses == ["127.0.20.2"] }
        #expect(try daemon.landing(clientHost(1)) == "127.0.20.2")
        try daemon.daemon.stop()
        _ = (one, two)
    }
}
