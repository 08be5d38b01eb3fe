import Foundation
import Testing

/// What a client says that should send no PROXY header, and that may be the beginning of one.
@Suite(.ownThread, .fence)
struct HeldBackTests {
    private static let stranger = "127.0.0.3"

    private func start(_ backend: SocketAddress, _ settings: String...) throws -> Reloadable {
        try Reloadable([
            Reloadable.Service(
                listen: ["127.0.0.1:0"], settings: ["accept-proxy = [\"127.0.0.2\"]"] + settings,
                backends: [.init(name: "b1", address: backend)])
        ])
    }

    /// Whoever presses Enter and waits for an answer gets one, where nothing that it says can pass for a header: behind the
    /// daemon's own. So it is after a death, too.
    @Test func whoSaysLittleIsHeardInTime() throws {
        let backend = try Listener()
        let reloadable = try start(backend.address, "send-proxy = \"v1\"", "accept-proxy-timeout = \"1s\"")
        let daemon = reloadable.daemon
        for early in ["\r\n\r\n", "PROXY"] {
            let client = try daemon.connect(from: Self.stranger)
            try client.send(early)
            let served = try backend.accept()
            let header = "PROXY TCP4 \(Self.stranger) 127.0.0.1 \(client.local.port) \(daemon.address.port)\r\n"
            #expect(try served.receiveText(header.utf8.count) == header)
            if early == "PROXY" {
                let engine = try daemon.enginePID
                kill(engine, SIGKILL)
                _ = try daemon.nextEngine(after: engine)
            }
            #expect(try served.receiveText(early.utf8.count) == early)
            try served.send("yes?")
            #expect(try client.receiveText(4) == "yes?")
            try client.send("PROXY ")
            #expect(try served.receiveText(6) == "PROXY ")
        }
        // Whoever begins after that time is heard at once.
        let late = try daemon.connect(from: Self.stranger)
        let served = try backend.accept()
        try eventually("it has been there for a second") {
            try daemon.ctl.connections().contains { $0.client == late.local.description && $0.ageSeconds > 1 }
        }
        try late.send("\r\n")
        let header = "PROXY TCP4 \(Self.stranger) 127.0.0.1 \(late.local.port) \(daemon.address.port)\r\n"
        #expect(try served.receiveText(header.utf8.count) == header)
        #expect(try served.receiveText(2) == "\r\n")
        // A whole header is one at any time.
        let fresh = try daemon.connect(from: Self.stranger)
        try fresh.send("PROXY TCP4 1.2.3.4 2.3.4.5 1 2\r\n")
        #expect(try fresh.receiveToEnd() == ([], .reset))
        try daemon.stop()
    }
}
