import Foundation
import Testing

/// Backends to which connects fail, as the workers see them.
@Suite(.ownThread, .fence)
struct PassiveHealthTests {
    private static func daemon(_ addresses: [SocketAddress], _ arguments: String...) throws -> Daemon {
        var setup = Daemon.Setup()
        setup.backends = addresses.enumerated().map {
            Daemon.Backend(name: "b\($0.offset + 1)", address: $0.element)
        }
        setup.arguments = arguments
        return try Daemon(setup)
    }

    /// Every client is served, by its second choice; those of others stay where they are, and all come home.
    @Test func aBackendThatRefusesIsTakenOutAndComesBack() throws {
        let refusing = try Listener.refusing()
        let (second, third) = (try BackendServer(.greet("b2")), try BackendServer(.greet("b3")))
        let daemon = try PassiveHealthTests.daemon([refusing.address, second.address, third.address])
        let sources = (0..<30).map { clientHost($0) }
        let orders = try sources.map { try daemon.ctl.locate($0).preference.map(\.backend) }
        for (source, order) in zip(sources, orders) {
            let client = try daemon.connect(from: source)
            let landed = String(try client.receiveLine().prefix { $0 != " " })
            #expect(landed == order.first { $0 != "b1" }, "\(source)")
        }
        #expect(orders.count { $0[0] == "b1" } >= 3)
        try eventually("b1 is taken out, or has been meanwhile") {
            !daemon.logLines(containing: "backend down", "b1").isEmpty
        }
        try refusing.startListening()
        try eventually("b1 is tried again") { try daemon.ctl.backend("b1").state == "up" }
        let client = try daemon.connect(from: try daemon.source(preferring: "b1"))
        let atHome = try refusing.accept()
        for socket in [client, atHome] { socket.close() }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    @Test func theLastEligibleBackendIsNeverTakenOut() throws {
        let (one, two) = (try Listener.refusing(), try Listener.refusing())
        let daemon = try PassiveHealthTests.daemon([one.address, two.address])
        for number in 0..<40 {
            let client = try daemon.connect(from: clientHost(number))
            #expect(try client.receiveToEnd() == ([], .reset))
        }
        try eventually("one of the two is down") { try daemon.ctl.backends().contains { $0.state == "down" } }
        for number in 0..<20 {
            _ = try daemon.connect(from: clientHost(number)).receiveToEnd()
            #expect(try daemon.ctl.backends().contains { $0.state == "up" })
        }
        // Whoever comes is sent on to the one that is out all the same: it may be the one that is back.
        try one.startListening()
        try two.startListening()
        let client = try daemon.connect()
        try eventually("it has a backend") { try daemon.connections(1)[0].state == "open" }
        client.close()
        try daemon.stop()
    }

    @Test func withoutPassiveFallFailuresChangeNothing() throws {
        let (refusing, second) = (try Listener.refusing(), try BackendServer(.greet("b2")))
        let reloadable = try Reloadable([
            Reloadable.Service(
                listen: ["127.0.0.1:0"], settings: ["passive-fall = \"off\""],
                backends: [.init(name: "b1", address: refusing.address), .init(name: "b2", address: second.address)])
        ])
        let source = try reloadable.daemon.source(preferring: "b1")
        for _ in 0..<20 { #expect(try reloadable.landing(source) == "b2") }
        #expect(try reloadable.ctl.backend("b1").connectFailures == 20)
        #expect(try reloadable.ctl.backend("b1").state == "up")
        // A reload that sets a number counts what has failed before.
        reloadable.services[0].settings = ["passive-fall = 2"]
        try reloadable.reload()
        #expect(try reloadable.landing(source) == "b2")
        try eventually("b1 is down") { !reloadable.daemon.logLines(containing: "backend down", "b1").isEmpty }
        try reloadable.daemon.stop()
    }

    /// With nothing up, clients are sent to what is down, or refused, as the service says.
    @Test(arguments: ["any", "refuse"]) func whenAllAreDown(_ way: String) throws {
        let (refusing, second) = (try Listener.refusing(), try BackendServer(.greet("b2")))
        let reloadable = try Reloadable([
            Reloadable.Service(
                listen: ["127.0.0.1:0"], settings: ["when-all-down = \"\(way)\"", "passive-fall = 1"],
                backends: [.init(name: "b1", address: refusing.address), .init(name: "b2", address: second.address)])
        ])
        let daemon = reloadable.daemon
        let source = try daemon.source(preferring: "b1")
        try eventually("a client has met b1 while it is down and b2 drains") {
            // It comes back every two seconds or so: what was seen counts only if it was down all the time.
            try daemon.ctl.expect("undrain", "b2")
            _ = try reloadable.landing(source)
            guard try daemon.ctl.backend("b1").state == "down" else { return false }
            try daemon.ctl.expect("drain", "b2", "--force")
            let failures = try daemon.ctl.backend("b1").connectFailures
            let end = try daemon.connect(from: source).receiveToEnd()
            let row = try daemon.ctl.backend("b1")
            guard row.state == "down" else { return false }
            #expect(end == ([], .reset))
            #expect(row.connectFailures == failures + (way == "any" ? 1 : 0))
            return true
        }
        try daemon.stop()
    }

    /// Such a backend is looked at at once, and stays: the client may have sent garbage.
    @Test func aBackendThatResetsAtOnceIsCheckedAndNotTakenOut() throws {
        let (resetting, second) = (try BackendServer(.resetAtOnce), try BackendServer(.greet("b2")))
        // Checks go to a port that answers: what they find does not depend on who is first, the reset or the look.
        let health = "health = { type = \"tcp\", interval = \"1h\", port = \(second.address.port) }"
        let scene = try Reloadable([resetting, second], service: [health, "passive-fall = 1"])
        let daemon = scene.daemon
        try eventually("the first checks have been made") {
            try daemon.ctl.backends().allSatisfy { $0.state == "up" && $0.checkedAt != nil }
        }
        let source = try daemon.source(preferring: "b1")
        // While checks come fast at the start, one may be of that.
        for _ in 0..<3 {
            let before = try #require(try daemon.ctl.backend("b1").checkedAt)
            try eventually("it is checked") {
                _ = try daemon.connect(from: source).receiveToEnd()
                return try daemon.ctl.backend("b1").checkedAt != before
            }
        }
        for _ in 0..<20 { #expect(try daemon.connect(from: source).receiveToEnd().end == .reset) }
        #expect(try daemon.ctl.backend("b1").state == "up")
        try daemon.stop()
    }

    @Test func whatIsOutStaysOutWhenTheEngineDiesAndComesBackAfterIt() throws {
        let (refusing, second) = (try Listener.refusing(), try BackendServer(.greet("b2")))
        let daemon = try PassiveHealthTests.daemon([refusing.address, second.address])
        let source = try daemon.source(preferring: "b1")
        for _ in 0..<3 { _ = try daemon.connect(from: source).receiveLine() }
        try eventually("b1 is down") { try daemon.ctl.backend("b1").state == "down" }
        let engine = try daemon.enginePID
        Glibc.kill(engine, SIGKILL)
        try eventually("another engine serves") { (try? daemon.enginePID).map { $0 != engine } ?? false }
        try refusing.startListening()
        try eventually("b1 is back") { try daemon.ctl.backend("b1").state == "up" }
        try daemon.stop()
    }
}
