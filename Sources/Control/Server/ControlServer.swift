internal import Linux
public import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// The control socket's server: HTTP/1.1 with JSON, see limpetctl(8) and ``ControlPlane``.
///
/// Lives on one event loop: make it there, and call every method there. The plane is called on that loop too.
public final class ControlServer {
    private let eventLoop: any EventLoop
    private let routes: Routes
    private let version: String
    private let limits: ControlLimits
    private var socket: ControlSocket?
    private var listener: (any Channel)?
    private let reserve = AcceptReserve()
    private var clients: [ObjectIdentifier: (channel: any Channel, caller: Caller)] = [:]
    private var places: ControlPlaces
    private let turns: Turns
    private let access: CurrentPolicy
    /// Clients that are being told that there are too many.
    private var turnedAway = 0

    /// - Parameters:
    ///   - eventLoop: the loop that this is called on.
    ///   - plane: kept until the server goes.
    ///   - version: of the daemon.
    ///   - access: who may do what.
    public init(
        eventLoop: any EventLoop, plane: any ControlPlane, version: String, access: AccessPolicy,
        limits: ControlLimits = ControlLimits()
    ) {
        eventLoop.preconditionInEventLoop()
        self.eventLoop = eventLoop
        self.version = version
        self.limits = limits
        self.access = CurrentPolicy(access)
        places = ControlPlaces(limits)
        turns = Turns(eventLoop)
        routes = Routes(plane: plane, version: version, access: self.access, slice: limits.slice)
    }

    /// Who may do what, from the next request on. Those who may do nothing any more are cut off.
    public var policy: AccessPolicy {
        get { access.value }
        set {
            access.value = newValue
            for client in clients.values where newValue.role(of: client.caller) == .stranger {
                client.channel.pipeline.fireUserInboundEventTriggered(RightsRevoked())
            }
        }
    }

    /// Serves, by way of a copy of the socket's descriptor: the socket itself stays open for the next engine. Clients that
    /// have connected since it was made are served now.
    /// - Returns: succeeds once it serves.
    public func start(on socket: ControlSocket) -> EventLoopFuture<Void> {
        eventLoop.preconditionInEventLoop()
        self.socket = socket
        let descriptor: Int32
        switch Descriptor.duplicate(socket.descriptor) {
        case .success(let copy): descriptor = copy
        case .failure(let error):
            return eventLoop.makeFailedFuture(SystemError("copy the descriptor of the control socket", error))
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
            // Rows wait in the table and not in memory: a client that does not read holds this much and no more.
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 16 * 1024, high: 64 * 1024))
            .withBoundSocket(descriptor)
            .map { server.value.listener = $0 }
    }

    /// Takes no more clients, removes the socket file, lets replies that are under way end for up to `grace`, and closes
    /// everything.
    /// - Returns: succeeds when all is closed.
    public func stop(grace: TimeAmount = .seconds(1)) -> EventLoopFuture<Void> {
        eventLoop.preconditionInEventLoop()
        socket?.remove()
        socket = nil
        routes.endEvents()
        var ends = clients.values.map { $0.channel.closeFuture }
        if let listener {
            ends.append(listener.closeFuture)
            listener.close(promise: nil)
        }
        for client in clients.values {
            client.channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        }
        let server = NIOLoopBound(self, eventLoop: eventLoop)
        let hard = eventLoop.scheduleTask(in: grace) {
            for client in server.value.clients.values { client.channel.close(promise: nil) }
        }
        let all = EventLoopFuture.andAllComplete(ends, on: eventLoop)
        all.whenComplete { _ in hard.cancel() }
        return all
    }

    /// Sets a new client up, or turns it away.
    private func admit(_ channel: any Channel) throws {
        let pipeline = channel.pipeline.syncOperations
        var decoder = NIOHTTPDecoderLimitConfiguration()
        decoder.maxHeaderFieldSize = limits.headerField
        decoder.maxHeaderListSize = limits.header
        decoder.maxHeaderFieldCount = limits.headerFields
        try pipeline.configureHTTPServerPipeline(
            withPipeliningAssistance: true, withServerUpgrade: nil, withErrorHandling: false,
            withEncoderConfiguration: .init(), withDecoderLimitConfiguration: decoder)
        let caller = try pipeline.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
            try ControlServer.caller(behind: $0)
        }
        guard let caller else { throw Errno.notPermitted }
        let server = NIOLoopBound(self, eventLoop: eventLoop)
        let place: ControlPlaces.Place
        do throws(ControlError) {
            place = try self.place(for: caller)
        } catch {
            routes.plane.noteRefused(ControlAttempt(conversationOf: caller), error)
            // Each holds a descriptor that a connection could have: past this many they are let go without a word.
            guard turnedAway < limits.clients else { throw Errno.tooManyFiles }
            turnedAway += 1
            channel.closeFuture.whenComplete { _ in server.value.turnedAway -= 1 }
            return try pipeline.addHandler(Turnaway(routes: routes, error: error))
        }
        try pipeline.addHandler(
            ClientHandler(routes: routes, limits: limits, version: version, turns: turns, caller: caller))
        let key = ObjectIdentifier(channel)
        clients[key] = (channel, caller)
        channel.closeFuture.whenComplete { _ in
            server.value.clients[key] = nil
            server.value.places.leave(place)
        }
    }

    private func place(for caller: Caller) throws(ControlError) -> ControlPlaces.Place {
        try access.value.check(caller, .read)
        return try places.take(caller, access.value.role(of: caller))
    }

    private static func caller(behind descriptor: Int32) throws(Errno) -> Caller {
        let (pid, uid, gid) = try UnixSocket.peerCredentials(descriptor).get()
        return Caller(pid: pid, uid: uid, gid: gid, groups: try UnixSocket.peerGroups(descriptor).get())
    }
}

/// Tells the handler of a client that it may do nothing any more.
struct RightsRevoked: Sendable {}

/// Tells a client why it has no place, whatever it asks.
private final class Turnaway: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let routes: Routes
    private let error: ControlError

    init(routes: Routes, error: ControlError) {
        self.routes = routes
        self.error = error
    }

    func channelActive(context: ChannelHandlerContext) {
        context.eventLoop.assumeIsolated().scheduleTask(in: .seconds(1)) { context.close(promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head = unwrapInboundIn(data) else { return }
        guard case .whole(let status, let type, let body, _) = routes.failure(error) else { return }
        let headers = HTTPHeaders([
            ("Content-Type", type), ("Content-Length", "\(body.readableBytes)"), ("Connection", "close"),
        ])
        context.write(
            wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: status, headers: headers))), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)))
            .assumeIsolated().whenComplete { _ in context.close(promise: nil) }
    }
}
