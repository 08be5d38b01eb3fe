public import Addressing
public import Configuration
import Linux
import NIOCore
import NIOPosix

/// What is checked, and how.
public struct CheckTarget: Sendable, Equatable {
    public var check: HealthCheck
    /// The backend's own.
    public var address: BackendAddress
    /// What goes ahead of all else: a header of the PROXY protocol; empty: nothing. A check at another address or port has
    /// none.
    public var preamble: [UInt8]
    /// Where its connection comes from.
    public var source: CheckSource
    /// Where it is, if ``address`` is a name: tried in this order, within the time of the check.
    public var resolved: [IPAddress]

    public init(
        check: HealthCheck, address: BackendAddress, resolved: [IPAddress] = [], preamble: [UInt8],
        source: CheckSource = CheckSource()
    ) {
        self.check = check
        self.address = address
        self.resolved = resolved
        self.preamble = preamble
        self.source = source
    }

    /// Where the check goes.
    public var destination: BackendAddress {
        switch address {
        case .endpoint(let own):
            let zone = check.address == nil ? own.zone : .none
            return .endpoint(
                Endpoint(address: check.address ?? own.address, port: check.port ?? own.port, zone: zone))
        case .unix:
            guard let address = check.address, let port = check.port else { return self.address }
            return .endpoint(Endpoint(address: address, port: port))
        case .name(let name, let own):
            let port = check.port ?? own
            return check.address.map { .endpoint(Endpoint(address: $0, port: port)) } ?? .name(name, port: port)
        }
    }
}

/// One check of one backend: a connection, at most so long and with at most so many bytes as its judge listens to, which
/// ends with RST, so that neither side is left with a socket in TIME_WAIT. Lives on the event loop.
final class Probe: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer

    /// How long a server may go on with an answer that has been judged.
    private static let courtesy = TimeAmount.milliseconds(200)

    private let target: CheckTarget
    private let eventLoop: any EventLoop
    private let promise: EventLoopPromise<CheckResult>
    private var judge: any Judge
    private let start = Clock.now()
    private var deadline: Scheduled<Void>?
    private var channel: (any Channel)?
    private var heard = 0
    private var isConnected = false
    private var isDecided = false

    /// Makes one check. Never fails; never takes much longer than the check's time-out.
    static func run(_ target: CheckTarget, on eventLoop: any EventLoop) -> EventLoopFuture<CheckResult> {
        let probe = Probe(target, eventLoop)
        probe.begin()
        return probe.promise.futureResult
    }

    private init(_ target: CheckTarget, _ eventLoop: any EventLoop) {
        self.target = target
        self.eventLoop = eventLoop
        promise = eventLoop.makePromise()
        judge =
            switch target.check.kind {
            case .off, .tcp: ConnectionJudge()
            case .http(let check): HTTPJudge(check, target: target.destination.authority)
            case .expect(let check): ExpectJudge(check)
            case .tlsHello: TLSJudge()
            case .agent(let send): AgentJudge(send: send)
            }
    }

    private func begin() {
        let timeout = TimeAmount.nanoseconds(Int64(clamping: target.check.timeout.nanoseconds))
        deadline = eventLoop.scheduleTask(in: timeout) { [self] in decide(timedOut) }
        // The deadline comes first.
        connect(timeout + .seconds(1))?.whenFailure { [self] error in decide(judged(error)) }
    }

    private func bootstrap(_ timeout: TimeAmount) -> ClientBootstrap {
        ClientBootstrap(group: eventLoop)
            .connectTimeout(timeout)
            .channelOption(.maxMessagesPerRead, value: 4)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 4096))
            .channelInitializer { [self] channel in
                self.channel = channel
                return channel.eventLoop.makeCompletedFuture { [self] in
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { [self] in
                        StreamSocket.resetOnClose($0)
                        try target.source.apply(to: $0)
                    }
                    try pipeline.addHandler(self)
                }
            }
    }

    /// nil: it has been decided already.
    private func connect(_ timeout: TimeAmount) -> EventLoopFuture<any Channel>? {
        switch target.destination {
        case .endpoint(let endpoint):
            do {
                return bootstrap(timeout).connect(to: try endpoint.socketAddress)
            } catch {
                decide(CheckResult(.impossible, "\(endpoint) cannot be checked: \(error)"))
            }
        case .unix(let path):
            switch UnixSocket.connected(to: path) {
            case .success(let socket): return bootstrap(timeout).withConnectedSocket(socket)
            case .failure(.wouldBlock): decide(.failed("connect failed: its queue of connections is full"))
            case .failure(let error): decide(judged(error))
            }
        case .name(let name, let port):
            let endpoints = target.resolved.prefix(Probe.mostAddresses).map { Endpoint(address: $0, port: port) }
            if endpoints.isEmpty {
                decide(.failed("\(name) has no address"))
            } else {
                let part = endpoints.count == 1 ? timeout : .nanoseconds(timeout.nanoseconds / Int64(endpoints.count))
                return connect(endpoints[...], part)
            }
        }
        return nil
    }

    /// Addresses of a name that one check tries.
    private static let mostAddresses = 8

    /// Connects to the first that can be connected to.
    private func connect(
        _ endpoints: ArraySlice<Endpoint>, _ timeout: TimeAmount
    ) -> EventLoopFuture<any Channel> {
        let attempt: EventLoopFuture<any Channel>
        do {
            attempt = bootstrap(timeout).connect(to: try endpoints[endpoints.startIndex].socketAddress)
        } catch {
            attempt = eventLoop.makeFailedFuture(error)
        }
        let others = endpoints.dropFirst()
        if others.isEmpty { return attempt }
        return attempt.flatMapError { [self] error in
            isDecided ? eventLoop.makeFailedFuture(error) : connect(others, timeout)
        }
    }

    private var timedOut: CheckResult {
        let time = DurationText.render(target.check.timeout)
        return .failed(
            "timed out after \(time): "
                + (isConnected ? heard == 0 ? "no answer" : "no whole answer" : "no connection"))
    }

    /// What the failure of a connect or of a connection says.
    private func judged(_ error: any Error) -> CheckResult {
        if let error = error as? SystemError {
            return CheckResult(.impossible, "cannot be checked from here: \(error)")
        }
        if let errno = error as? Errno { return judged(errno) }
        guard let error = error as? IOError else { return .failed("check failed: \(Excerpt("\(error)".utf8))") }
        return judged(Errno(rawValue: error.errnoCode))
    }

    private func judged(_ errno: Errno) -> CheckResult {
        if errno.isLocal { return CheckResult(.impossible, "cannot be checked from here: \(errno)") }
        switch errno {
        case .connectionRefused: return .failed("connect refused")
        case .connectionReset, .brokenPipe:
            return .failed(isConnected ? "reset the connection before an answer was complete" : "connect reset")
        default: return .failed("\(isConnected ? "connection" : "connect") failed: \(errno)")
        }
    }

    private func decide(_ result: CheckResult) {
        guard !isDecided else { return }
        isDecided = true
        deadline?.cancel()
        var result = result
        result.duration = Clock.now() - start
        if let channel {
            if judge.isPolite, result.verdict == .passed, channel.isActive {
                let bound = NIOLoopBound(channel, eventLoop: eventLoop)
                let task = eventLoop.scheduleTask(in: Probe.courtesy) { bound.value.close(promise: nil) }
                channel.closeFuture.whenComplete { _ in task.cancel() }
            } else {
                channel.close(promise: nil)
            }
        }
        promise.succeed(result)
    }

    func channelActive(context: ChannelHandlerContext) {
        isConnected = true
        if let local = context.channel.localAddress, local == context.channel.remoteAddress {
            // Nobody listens there, and the kernel gave us that very port (RFC 9293, 3.5: simultaneous open).
            return decide(.failed("connect refused"))
        }
        let opening = target.preamble + judge.opening
        if !opening.isEmpty { context.writeAndFlush(NIOAny(ByteBuffer(bytes: opening)), promise: nil) }
        if judge.limit == nil { decide(judge.hearEnd()) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        heard += bytes.readableBytes
        guard let limit = judge.limit else { return }
        if isDecided {
            // It has been polite enough.
            if heard > limit { context.close(promise: nil) }
            return
        }
        if let result = judge.hear(bytes.readableBytesView) { return decide(result) }
        if heard >= limit { decide(judge.hearTooMuch()) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if !isDecided { decide(judge.hearEnd()) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        decide(judged(error))
        context.close(promise: nil)
    }
}

extension BackendAddress {
    /// As a request names who is asked.
    fileprivate var authority: String {
        switch self {
        case .unix: "localhost"
        case .name(let name, let port): "\(name.text):\(port)"
        case .endpoint: description
        }
    }
}

extension Endpoint {
    fileprivate var socketAddress: NIOCore.SocketAddress {
        get throws {
            if !zone.isNone { return NIOCore.SocketAddress(Linux.SocketAddress(self).ipv6, host: "") }
            var bytes = ByteBuffer()
            if address.family == .v4 {
                bytes.writeInteger(UInt32(truncatingIfNeeded: address.low))
            } else {
                bytes.writeInteger(address.high)
                bytes.writeInteger(address.low)
            }
            return try NIOCore.SocketAddress(packedIPAddress: bytes, port: Int(port))
        }
    }
}
