import Addressing
import Configuration
import Glibc
import Linux
import Testing

@testable import Engine

/// What is made of sockets that somebody passes to the daemon.
@Suite(.serialized) struct InheritedSocketTests {
    /// Descriptors that follow each other, for as long as the body runs.
    private func passing<Result>(_ sockets: [Int32], _ body: (Int32) throws -> Result) throws -> Result {
        let first = fcntl(sockets[0], F_DUPFD, Int32(min(5000, Descriptor.raiseLimit() - 10)))
        var places = [first]
        for socket in sockets.dropFirst() {
            let place = places[places.count - 1] + 1
            try #require(fcntl(place, F_GETFD) < 0 && dup2(socket, place) == place)
            places.append(place)
        }
        defer { for descriptor in places + sockets { close(descriptor) } }
        return try body(first)
    }

    private func listener(_ text: String) throws -> Int32 {
        try StreamSocket.listen(on: try Endpoint(parsing: text), shared: false)
    }

    private func configuration(_ text: String) throws -> ListenerConfiguration {
        text.hasPrefix("fd:")
            ? ListenerConfiguration(.inherited(String(text.dropFirst(3))))
            : ListenerConfiguration(try Endpoint(parsing: text))
    }

    private func words(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "accepted"
        } catch {
            return "\(error)"
        }
    }

    @Test func byNameAndByAddress() throws {
        try passing([try listener("127.0.0.1:0"), try listener("[::1]:0"), try listener("127.0.0.1:0")]) { first in
            var sockets = try InheritedSockets(count: "3", names: "web:mail:third", from: first)
            #expect(sockets.left.map(\.name) == ["web", "mail", "third"])
            let mail = sockets.left[1]
            #expect(try sockets.take(for: try configuration("fd:mail")) == mail)
            let third = sockets.left[1]
            #expect(try sockets.take(for: try configuration("\(third.address)")) == third)
            #expect(try sockets.take(for: try configuration("127.0.0.1:1")) == nil)
            let web = sockets.left[0].text
            #expect(web.hasPrefix("web (127.0.0.1:"))
            #expect(
                words { try sockets.checkAllTaken() }
                    == "no listener takes what was passed to limpetd: \(web): add listen = \"fd:web\", or take it out of what "
                    + "starts limpetd")
            #expect(
                words { _ = try sockets.take(for: try configuration("fd:mail")) }
                    == "listen fd:mail: no socket of this name was passed to limpetd; there are \(web)")
            _ = try sockets.take(for: try configuration("fd:web"))
            #expect(words { try sockets.checkAllTaken() } == "accepted")
            #expect(
                words { _ = try sockets.take(for: try configuration("fd:web")) }
                    == "listen fd:web: no socket is left that was passed to limpetd: have it started by its socket unit, or "
                    + "listen on an address")
        }
    }

    @Test func aNameIsForOne() throws {
        try passing([try listener("127.0.0.1:0"), try listener("127.0.0.1:0")]) { first in
            var sockets = try InheritedSockets(count: "2", names: nil, from: first)
            #expect(
                words { _ = try sockets.take(for: try configuration("fd:unknown")) }
                    == "listen fd:unknown: 2 sockets of this name were passed: give each a name of its own "
                    + "(FileDescriptorName=), or listen by their addresses")
        }
    }

    @Test func whatIsNoListeningSocketIsRefused() throws {
        let datagram = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        let unix = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        let idle = try StreamSocket.open(family: AF_INET).get()
        let file = open("/dev/null", O_RDONLY)
        try passing([datagram, unix, idle, file]) { first in
            func refusal(_ index: Int32) -> String {
                words { _ = try InheritedSockets(count: "1", names: "x", from: first + index) }
            }
            let what = "which was passed to limpetd,"
            #expect(
                refusal(0)
                    == "descriptor \(first) (x), \(what) is a datagram socket: limpetd takes TCP and Unix sockets that "
                    + "listen (ListenStream=)")
            #expect(refusal(1).contains("is a Unix socket without a name"))
            #expect(refusal(2) == "descriptor \(first + 2) (x), \(what) does not listen: its unit must say Accept=no")
            #expect(
                refusal(3)
                    == "descriptor \(first + 3) (x), \(what) is no socket: LISTEN_FDS and LISTEN_PID are for sockets "
                    + "that listen, descriptors from 3 on")
        }
    }

    @Test func variablesThatDoNotAgree() {
        #expect(
            words { _ = try InheritedSockets(count: "-1", names: nil, from: 700) }
                == "LISTEN_FDS=-1 is not a number of sockets, 0 to 1024: whoever starts limpetd sets it")
        #expect(words { _ = try InheritedSockets(count: "x", names: nil, from: 700) }.contains("LISTEN_FDS=x"))
        #expect(words { _ = try InheritedSockets(count: "1025", names: nil, from: 700) }.contains("LISTEN_FDS=1025"))
        #expect(
            words { _ = try InheritedSockets(count: "1", names: "a:b", from: 700) }
                == "LISTEN_FDNAMES has 2 names, and LISTEN_FDS says 1 sockets")
        #expect(words { _ = try InheritedSockets(count: "0", names: "", from: 700) } == "accepted")
    }

    /// Whoever has bound [::] has settled whether IPv4 clients come by it.
    @Test func familiesHaveToAgree() throws {
        var both = BindingOptions()
        both.isV6Only = false
        let any = try Endpoint(parsing: "[::]:0")
        let dual = try StreamSocket.listen(on: any, shared: false, binding: both)
        try passing([dual, try listener("[::]:0")]) { first in
            for (index, wanted) in [(0, true), (1, false)] {
                var sockets = try InheritedSockets(count: "2", names: "a:b", from: first)
                var listener = ListenerConfiguration(sockets.left[index].address)
                listener.isV6Only = wanted
                let refusal = words { _ = try sockets.take(for: listener) }
                #expect(refusal.contains(wanted ? "BindIPv6Only=ipv6-only" : "BindIPv6Only=both"))
                listener.isV6Only = !wanted
                #expect(try sockets.take(for: listener)?.isV6Only == !wanted)
            }
        }
    }
}
