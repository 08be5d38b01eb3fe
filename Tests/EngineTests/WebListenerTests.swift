import Addressing
import CLayout
import Configuration
import Forwarding
import Glibc
import Linux
import Logging
import Testing

@testable import Engine

/// The socket of the metrics at the start of an engine, whatever the one before has left.
@Suite struct WebListenerTests {
    private let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private func inRegion(_ body: (SharedRegion) throws -> Void) throws {
        let region = try SharedRegion(workers: 1, records: 4, limit: 4)
        try body(region)
        close(region.memory.descriptor)
        munmap(region.memory.base, region.memory.size)
    }

    private func listen(_ address: String) throws -> Int32 {
        try StreamSocket.listen(on: try Endpoint(parsing: address), shared: true)
    }

    private func isOpen(_ descriptor: Int32) -> Bool { fcntl(descriptor, F_GETFD) >= 0 }

    /// A version that knew nothing of the metrics has closed their socket, and its number is a listener's by now.
    @Test func anothersSocketIsLeftAlone() throws {
        try inRegion { region in
            let listener = try listen("127.0.0.1:0")
            region.nameListener(
                0, service: 0, address: try #require(StreamSocket.localEndpoint(listener)), descriptors: [listener])
            region.continuity.pointee.metrics = listener
            WebListener.settle(nil, in: region, log: log)
            #expect(isOpen(listener) && WebListener.address(in: region) == nil)
            region.continuity.pointee.metrics = listener
            WebListener.settle(try Endpoint(parsing: "127.0.0.1:0"), in: region, log: log)
            let own = try #require(WebListener.descriptor(in: region))
            #expect(isOpen(listener) && own != listener)
            WebListener.settle(nil, in: region, log: log)
            #expect(!isOpen(own) && isOpen(listener))
            close(listener)
        }
    }

    /// What does not listen is not closed either.
    @Test func aNumberThatIsNoListenersIsForgotten() throws {
        try inRegion { region in
            let other = dup(region.memory.descriptor)
            region.continuity.pointee.metrics = other
            #expect(WebListener.descriptor(in: region) == nil)
            WebListener.settle(nil, in: region, log: log)
            #expect(isOpen(other))
            close(other)
        }
    }

    @Test func theSocketThatFitsStays() throws {
        try inRegion { region in
            let wanted = try Endpoint(parsing: "127.0.0.1:0")
            WebListener.settle(wanted, in: region, log: log)
            let own = try #require(WebListener.descriptor(in: region))
            WebListener.settle(wanted, in: region, log: log)
            #expect(WebListener.descriptor(in: region) == own)
            #expect(!WebListener.fits(try Endpoint(parsing: "127.0.0.2:0"), in: region))
            #expect(!WebListener.fits(nil, in: region))
            WebListener.settle(try Endpoint(parsing: "127.0.0.2:0"), in: region, log: log)
            #expect(try #require(WebListener.address(in: region)).description.hasPrefix("127.0.0.2:"))
            WebListener.name(nil, in: region)
        }
    }

    /// An address that cannot be had is no reason not to serve.
    @Test func withoutItTheEngineGoesOn() throws {
        try inRegion { region in
            WebListener.settle(try Endpoint(parsing: "192.0.2.1:9464"), in: region, log: log)
            #expect(WebListener.descriptor(in: region) == nil)
        }
    }
}
