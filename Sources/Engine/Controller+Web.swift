import Addressing
import Configuration
import Control
import Forwarding
import Logging
import NIOCore

/// The HTTP port of the metrics: who serves it, and where.
extension Controller {
    /// Serves at the socket that the region names, and nowhere else. On the event loop, once all else stands, and after
    /// each change of that socket.
    func serveWeb() {
        let former = web
        web = nil
        _ = former?.stop()
        defer { noteStatusPage() }
        guard let socket = WebListener.descriptor(in: region), let address = WebListener.address(in: region) else {
            return
        }
        let server = WebServer(
            eventLoop: eventLoop, plane: self, version: runningVersion, board: board,
            isLocal: address.address.isLoopback)
        web = server
        server.start(on: socket).whenComplete { [log] result in
            switch result {
            case .success: log.info("metrics are served", metadata: ["address": "\(address)"])
            case .failure(let error): log.error("metrics cannot be served at \(address): \(error)")
            }
        }
    }

    /// Goes by what the configuration says of the status page.
    func noteStatusPage() {
        let wanted = request.configuration.statusPage
        let isServed = wanted.isServed && web != nil
        board.showsClients = wanted.showsClients
        if isServed { board.begin() } else { board.end() }
        var options = StatusPageOptions()
        options.isServed = isServed
        options.hosts = wanted.hosts
        web?.page = options
    }

    /// - Returns: succeeds once nobody is served any more.
    func stopWeb() -> EventLoopFuture<Void> {
        defer { web = nil }
        return web?.stop() ?? eventLoop.makeSucceededVoidFuture()
    }
}
