internal import Addressing
internal import Linux
public import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// Serves metrics and readiness over HTTP/1.1: whoever reaches the port may read, and nobody can change anything.
///
/// Lives on one event loop: make it there, and call every method there. The plane is called on that loop too.
public final class WebServer {
    private let eventLoop: any EventLoop
    private let routes: WebRoutes
    private let limits: WebLimits
    private var listener: (any Channel)?
    private var isStopped = false
    private let reserve = AcceptReserve()
    private var clients: [ObjectIdentifier: Client] = [:]
    private var nextTurn: UInt64 = 0
    private let turns: Turns

    private struct Client {
        let channel: any Channel
        let handler: WebHandler
    }

    /// - Parameters:
    ///   - eventLoop: the loop that this is called on.
    ///   - plane: kept until the server goes.
    ///   - version: of the daemon.
    ///   - board: what the status page shows; outlives the server.
    ///   - isLocal: this machine alone can reach the socket.
    public init(
        eventLoop: any EventLoop, plane: any ControlPlane, version: String, board: StatusBoard,
        isLocal: Bool = false, limits: WebLimits = WebLimits()
    ) {
        eventLoop.preconditionInEventLoop()
        self.eventLoop = eventLoop
        self.limits = limits
        turns = Turns(eventLoop)
        routes = WebRoutes(plane: plane, version: version, board: board, isLocal: isLocal)
    }

    /// What of the status page is served, from the next request on.
    public var page: StatusPageOptions {
        get { routes.page }
        set { routes.page = newValue }
    }

    /// Serves, by way of a copy of the listening socket: the socket itself stays open for the next engine.
    /// - Returns: succeeds once it serves.
    public func start(on socket: Int32) -> EventLoopFuture<Void> {
        eventLoop.preconditionInEventLoop()
        let descriptor: Int32
        switch Descriptor.duplicate(socket) {
        case .success(let copy): descriptor = copy
        case .failure(let error):
            return eventLoop.makeFailedFuture(SystemError("copy the descriptor of the metrics' socket", error))
        }
        let server = NIOLoopBound(self, eventLoop: eventLoop)
        return ServerBootstrap(group: eventLoop)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(server.value.reserve)
                }
            }
            .childChannelInitializer { channel in
                channel.closeFuture.whenComplete { _ in server.value.reserve.refill() }
                return channel.eventLoop.makeCompletedFuture { try server.value.admit(channel) }
            }
            .withBoundSocket(descriptor)
            .map { listener in
                let server = server.value
                server.listener = listener
                if server.isStopped { listener.close(promise: nil) }
            }
    }

    /// Takes no more clients, and lets go of those that there are.
    /// - Returns: succeeds when all is closed.
    public func stop() -> EventLoopFuture<Void> {
        eventLoop.preconditionInEventLoop()
        isStopped = true
        var ends = clients.values.map { $0.channel.closeFuture }
        if let listener {
            ends.append(listener.closeFuture)
            listener.close(promise: nil)
        }
        for client in clients.values { client.channel.close(promise: nil) }
        return EventLoopFuture.andAllComplete(ends, on: eventLoop)
    }

    /// Sets a new client up.
    private func admit(_ channel: any Channel) throws {
        guard !isStopped else { throw Errno.tooManyFiles }
        let peer = WebServer.peer(of: channel)
        if let peer, clients.values.count(where: { $0.handler.peer == peer }) >= limits.clientsPerAddress {
            try makeRoom { $0 == peer }
        } else if clients.count >= limits.clients {
            try makeRoom { _ in true }
        }
        let pipeline = channel.pipeline.syncOperations
        var decoder = NIOHTTPDecoderLimitConfiguration()
        decoder.maxHeaderFieldSize = limits.headerField
        decoder.maxHeaderListSize = limits.header
        decoder.maxHeaderFieldCount = limits.headerFields
        try pipeline.configureHTTPServerPipeline(
            withPipeliningAssistance: true, withServerUpgrade: nil, withErrorHandling: false,
            withEncoderConfiguration: .init(), withDecoderLimitConfiguration: decoder)
        let server = NIOLoopBound(self, eventLoop: eventLoop)
        let handler = WebHandler(routes: routes, limits: limits, turns: turns, peer: peer) {
            server.value.nextTurn += 1
            return server.value.nextTurn
        }
        try pipeline.addHandler(handler)
        let key = ObjectIdentifier(channel)
        clients[key] = Client(channel: channel, handler: handler)
        channel.closeFuture.whenComplete { _ in server.value.clients[key] = nil }
    }

    /// Lets the one go of some that has said nothing for longest.
    /// - Throws: where all of them are being answered.
    private func makeRoom(among isMeant: (Prefix?) -> Bool) throws {
        let some = clients.values.filter { isMeant($0.handler.peer) && $0.handler.makesRoom }
        guard let oldest = some.min(by: { $0.handler.turn < $1.handler.turn }) else { throw Errno.tooManyFiles }
        oldest.channel.close(promise: nil)
    }

    /// nil: this machine.
    private static func peer(of channel: any Channel) -> Prefix? {
        guard let text = channel.remoteAddress?.ipAddress,
            let address = IPAddress(text.prefix { $0 != "%" })?.unmapped, !address.isLoopback
        else { return nil }
        return Prefix(address.masked(to: address.family == .v4 ? 32 : 64))
    }
}
